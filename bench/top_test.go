package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/bench/internal/top"
	"github.com/memherd/memherd/nodeserver"
)

func TestTop(t *testing.T) {
	s, err := nodeserver.Start(nodeserver.Config{})
	require.NoError(t, err)
	defer s.Close()
	addr := s.Addr().String()
	code, stdout, stderr := bench(t, "top", "-servers", addr, "-rounds", "2", "-watch", "1ms", "-every", "1ms", "-json")
	require.Equal(t, exitOK, code, stderr)
	dec := json.NewDecoder(strings.NewReader(stdout))
	for range 2 {
		var got top.Sample
		require.NoError(t, dec.Decode(&got))
		assert.Equal(t, 1, got.Nodes)
		assert.NotNil(t, got.Keys, "an empty list, for programs that walk through it")
	}
	code, stdout, stderr = bench(t, "top", "-servers", addr, "-rounds", "1", "-watch", "1ms")
	require.Equal(t, exitOK, code, stderr)
	assert.Contains(t, stdout, "on 1 nodes")
	assert.Contains(t, stdout, "no key was asked for")
}

func TestTopBadInput(t *testing.T) {
	for want, args := range map[string][]string{
		"--servers":  {"top"},
		"-servers":   {"top", "-servers", "x:1,x:1"},
		"-watch 0s":  {"top", "-servers", "127.0.0.1:1", "-watch", "0s"},
		"-every 1ms": {"top", "-servers", "127.0.0.1:1", "-every", "1ms"},
		"-rounds":    {"top", "-servers", "127.0.0.1:1", "-rounds=-1"},
		"-top 0":     {"top", "-servers", "127.0.0.1:1", "-top", "0"},
		"server 10.0.0.1:11211 is not on this machine: a node that is watched works more; if these servers are yours, say so with -i-own-these-servers": {"top", "-servers", "127.0.0.1:1,10.0.0.1:11211"},
		"server x.example.com:1 is not on this machine": {"top", "-servers", "x.example.com:1"},
		"-watch 1h0m0s:": {"top", "-servers", "127.0.0.1:1", "-watch", "1h", "-every", "2h"},
	} {
		code, stdout, stderr := bench(t, args...)
		assert.Equal(t, exitUsage, code, args)
		assert.Contains(t, stderr, want)
		assert.Empty(t, stdout)
	}
}

func TestTopOfNobody(t *testing.T) {
	s, err := nodeserver.Start(nodeserver.Config{})
	require.NoError(t, err)
	addr := s.Addr().String()
	require.NoError(t, s.Close())
	code, _, stderr := bench(t, "top", "-servers", addr, "-watch", "1ms", "-rounds", "1")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, stderr, "no node can be watched: "+addr)
}
