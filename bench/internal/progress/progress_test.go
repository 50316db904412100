package progress

import (
	"bytes"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPlainLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := New(&out, 100)
		b.Step("warming up")
		b.Set(10, "5 op/s")
		time.Sleep(every)
		b.Set(50, "7 op/s")
		b.Set(51, "8 op/s")
		time.Sleep(every)
		b.Set(1000, "9 op/s")
		b.Close()
		assert.Equal(t, "warming up\n  50 %, 7 op/s\n  100 %, 9 op/s\n", out.String())
	})
}

func TestAFileIsNoTerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer f.Close()
	assert.False(t, terminal(f))
}

func TestBarOnACharacterDevice(t *testing.T) {
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer f.Close()
	t.Setenv("TERM", "xterm")
	b := New(f, 10)
	require.NotNil(t, b.bar)
	b.Step("x")
	b.Set(20, "y")
	b.Close()
	assert.True(t, b.bar.IsFinished())
	t.Setenv("TERM", "dumb")
	assert.Nil(t, New(f, 10).bar)
}
