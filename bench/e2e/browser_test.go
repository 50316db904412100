package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// browser is a tab of a Chromium that ends with the test.
type browser struct {
	ctx context.Context

	mu       sync.Mutex // guards problems
	problems []string   // what the page wrote to the console, and what it threw
}

// open starts Chromium. Where there is none the test is skipped, except where CI is "true".
func open(t *testing.T) *browser {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("Chromium is not installed: apt-get install chromium")
		}
		t.Skip("Chromium is not installed: apt-get install chromium")
	}
	flags := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		// Containers have neither a GPU nor, as a rule, room in /dev/shm; root gets no sandbox. It loads our own page only.
		chromedp.DisableGPU, chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1400, 1150))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), flags...)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		cancel()
		stop()
	})
	b := &browser{ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			b.problem(fmt.Sprint(ev.ExceptionDetails.Text, " in line ", ev.ExceptionDetails.LineNumber))
		case *runtime.EventConsoleAPICalled:
			if ev.Type == "error" || ev.Type == "warning" {
				b.problem(fmt.Sprint(ev.Type, " on the console"))
			}
		case *log.EventEntryAdded:
			b.problem(ev.Entry.Text)
		}
	}))
	_, err := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	require.NoError(t, err)
	return b
}

func (b *browser) problem(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, text)
}

// clean fails the test if the page complained of anything.
func (b *browser) clean(t *testing.T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(t, b.problems)
}

// run does things in the tab.
func (b *browser) run(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	require.NoError(t, chromedp.Do(b.ctx, actions...))
}

// eval returns the value of a JavaScript expression.
func eval[T any](t *testing.T, b *browser, expr string) T {
	t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expr))
	require.NoError(t, err)
	return v
}

// until waits for a JavaScript expression to be true.
func (b *browser) until(t *testing.T, expr string) {
	t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Poll[bool](expr, chromedp.WithPollingTimeout(0)))
	require.NoError(t, err)
}

// firstPaint waits for the page's first text or picture, and returns after how many milliseconds it was there.
func (b *browser) firstPaint(t *testing.T) float64 {
	t.Helper()
	b.until(t, `performance.getEntriesByName("first-contentful-paint").length > 0`)
	return eval[float64](t, b, `performance.getEntriesByName("first-contentful-paint")[0].startTime`)
}

// shots is the folder for pictures; empty for none.
func shots() string { return os.Getenv("MEMHERD_SHOTS") }

// shoot keeps a picture of the whole page in the folder shots.
func (b *browser) shoot(t *testing.T, name string) {
	dir := shots()
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644))
}
