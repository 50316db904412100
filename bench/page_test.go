package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// lockedBuffer is written by a run and read by its test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestDemoServesTheLivePage while it runs, and no longer.
func TestDemoServesTheLivePage(t *testing.T) {
	var out lockedBuffer
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var code int
	var wg sync.WaitGroup
	wg.Go(func() {
		code = run(ctx, []string{"demo", "-http", "127.0.0.1:0", "-duration", "10m", "-rows", "200"}, &out, io.Discard)
	})
	var url string
	for url == "" {
		if m := regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(out.String()); m != "" {
			url = m
		}
	}
	transport := &http.Transport{DisableKeepAlives: true}
	get := func(path string) (int, string) {
		resp, err := (&http.Client{Transport: transport}).Get(url + path)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	for {
		status, body := get("data.json")
		if status == 200 && strings.Contains(body, `"name":"node5"`) && strings.Contains(body, `"loads":`) {
			break
		}
		require.Contains(t, []int{200, 503}, status, body)
	}
	status, body := get("")
	require.Equal(t, 200, status)
	require.Contains(t, body, "<title>memherd</title>")
	cancel()
	wg.Wait()
	require.Equal(t, exitFailed, code, "it was cut short")
	status, _ = get("")
	require.Zero(t, status)
}

func TestDemoRefusesABadAddress(t *testing.T) {
	var stderr bytes.Buffer
	require.Equal(t, exitUsage, run(context.Background(), []string{"demo", "-http", "127.0.0.1:port"}, io.Discard, &stderr))
	require.Contains(t, stderr.String(), "-http")
	stderr.Reset()
	require.Equal(t, exitUsage, run(context.Background(), []string{"demo", "-html", t.TempDir()}, io.Discard, &stderr))
	require.Contains(t, stderr.String(), "-html")
}

// TestRunWritesThePageWithPlots, and finds out before if it can't.
func TestRunWritesThePageWithPlots(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.html")
	code, stdout, stderr := bench(t, "run", "-duration", "300ms", "-keys", "100", "-html", path)
	require.Equal(t, exitOK, code, stdout+stderr)
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Less(t, len(page), 2<<20)
	require.Contains(t, string(page), "Throughput")
	require.Contains(t, string(page), "zipf")
	code, _, stderr = bench(t, "run", "-html", filepath.Dir(path))
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "-html")
}
