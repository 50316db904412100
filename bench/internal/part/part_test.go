package part

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	Main(Parts{"adder": adder, "stuck": stuck})
	goleak.VerifyTestMain(m)
}

// adder adds to what it was told at the start.
func adder(s *Script) error {
	var sum int
	if err := s.Read(&sum); err != nil {
		return err
	}
	return Serve(s, func(n int) (int, error) {
		if n < 0 {
			return 0, errors.New("no negative numbers")
		}
		sum += n
		return sum, nil
	})
}

// stuck says its process's number and then nothing, until nobody listens.
func stuck(s *Script) error {
	if err := s.Say(os.Getpid()); err != nil {
		return err
	}
	<-s.Gone()
	return nil
}

func TestTalk(t *testing.T) {
	p, err := Start(t.Context(), "adder", 40)
	require.NoError(t, err)
	for i := range 3 {
		var sum int
		require.NoError(t, p.Ask(2, &sum))
		require.Equal(t, 42+2*i, sum)
	}
	require.NoError(t, p.Close())
}

func TestFailure(t *testing.T) {
	p, err := Start(t.Context(), "adder", 0)
	require.NoError(t, err)
	var sum int
	require.ErrorIs(t, p.Ask(-1, &sum), io.EOF)
	require.ErrorContains(t, p.Close(), "the part adder: exit status 1; it said: no negative numbers")

	p, err = Start(t.Context(), "adder", "forty")
	require.NoError(t, err)
	require.ErrorContains(t, p.Close(), "does not understand")

	p, err = Start(t.Context(), "nobody", 0)
	require.NoError(t, err)
	require.ErrorContains(t, p.Close(), `there is no part "nobody"`)
}

func TestKill(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, kill := range []func(p *Player) error{
		(*Player).Kill,
		func(p *Player) error { p.Signal(); return p.Kill() },
		func(p *Player) error { cancel(); return p.Kill() },
	} {
		p, err := Start(ctx, "stuck", 0)
		require.NoError(t, err)
		var pid int
		require.NoError(t, p.Hear(&pid))
		require.Equal(t, p.Pid(), pid)
		require.NoError(t, kill(p))
		require.Error(t, p.Hear(&pid))
	}
	p, err := Start(ctx, "stuck", 0)
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, p)
}

func TestTail(t *testing.T) {
	var log tail
	for i := range 1000 {
		fmt.Fprintln(&log, "line", i)
	}
	require.LessOrEqual(t, len(log.String()), tailSize)
	require.True(t, strings.HasSuffix(log.String(), "line 999"))
	n, err := log.Write(bytes.Repeat([]byte("x"), 2*tailSize))
	require.NoError(t, err)
	require.Equal(t, 2*tailSize, n)
	require.Len(t, log.String(), tailSize)
}
