package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/live"
	"github.com/memherd/memherd/client/observe/metrics"
	"github.com/memherd/memherd/client/observe/timing"
	"github.com/memherd/memherd/hotkey"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

// startFleet is five nodes under load, and the page that shows them. Network.Kill takes a node away.
func startFleet(t *testing.T) (*nodeserver.MemNetwork, string) {
	mem := nodeserver.NewMemNetwork()
	var names []string
	for i := range 5 {
		name := fmt.Sprintf("node%d", i+1)
		srv, err := nodeserver.Start(nodeserver.Config{Network: mem, Addr: name + ":11211"})
		require.NoError(t, err)
		t.Cleanup(func() { srv.Close() })
		names = append(names, name)
	}
	c, err := client.New(client.Config{Nodes: ring.Addrs(names...), ReplicationFactor: 2, DialContext: mem.DialContext, HotKeys: &hotkey.Config{}})
	require.NoError(t, err)
	timed, err := timing.New(timing.Config{Client: c})
	require.NoError(t, err)
	users, err := loader.New(timed, loader.Config[string]{Load: func(_ context.Context, key string) (string, error) { return "value of " + key, nil }, TTL: time.Hour})
	require.NoError(t, err)
	h, err := live.New(live.Config{Keys: live.KeysShown, Source: metrics.Source{Client: c, Timing: timed,
		Loaders: map[string]func() any{"users": func() any { return users.Counters() }}}})
	require.NoError(t, err)
	srv := httptest.NewServer(h)

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, 20_000)
			for ctx.Err() == nil {
				users.Get(ctx, fmt.Sprint("user:", zipf.Uint64())) // errors show on the page
				time.Sleep(100 * time.Microsecond)                 // a load that leaves the browser room
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		srv.Close()
		users.Close()
		c.Close()
	})
	return mem, srv.URL + "/"
}

// TestLivePage: it loads, its numbers move, a killed node turns red and a living one green again, and nothing is
// complained of. How long it took is logged.
func TestLivePage(t *testing.T) {
	mem, url := startFleet(t)
	b := open(t)
	// A browser that has just started is slow on whatever it shows first: that is not the page's.
	idle := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<!doctype html><link rel="icon" href="data:,"><p>nothing`)
	}))
	defer idle.Close()
	b.run(t, chromedp.Navigate(idle.URL))
	empty := b.firstPaint(t)
	b.run(t, chromedp.Navigate(url))
	t.Logf("first paint after %.0f ms; of a page with nothing on it, in the browser just started, %.0f ms", b.firstPaint(t), empty)
	b.until(t, `document.querySelectorAll("#nodes tr[data-state=up]").length === 5`)

	require.NotEmpty(t, eval[string](t, b, `window.before = document.querySelector("#tiles").innerText`))
	b.until(t, `document.querySelector("#tiles").innerText !== window.before`)
	b.until(t, `document.querySelectorAll("#load polyline").length >= 5 && document.querySelectorAll("#hits polygon").length >= 4`)
	b.until(t, `document.querySelectorAll("#latency rect").length > 5 && document.querySelectorAll("#hot tr").length > 5`)
	b.until(t, `document.querySelectorAll("#ring path").length === 5 && document.querySelectorAll("#loaders tr").length > 5`)
	if shots() != "" {
		b.until(t, `hist.length > 40`) // something to see
	}

	mem.Kill("node2:11211")
	killed := time.Now()
	b.until(t, `document.querySelector("#nodes tr[data-node=node2]").dataset.state === "down"`)
	t.Logf("red on the page %v after the kill", time.Since(killed).Round(time.Millisecond))
	require.True(t, eval[bool](t, b, `getComputedStyle(document.querySelector("#nodes tr[data-node=node2] .badge")).backgroundColor === "rgb(211, 48, 59)" &&
		document.querySelector("#ring path[data-node=node2]").getAttribute("stroke") === "var(--down)"`), "it is red, in the table and on the ring")
	b.shoot(t, "live-light")
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	require.NoError(t, err)
	b.shoot(t, "live-dark")
	b.run(t, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	require.LessOrEqual(t, eval[float64](t, b, `document.documentElement.scrollWidth`), 390.0, "a phone need not scroll sideways")
	b.shoot(t, "live-phone")

	for names, want := range map[string]string{
		`"node1", "node2"`: "node1 node2",
		`"cache-17.prod.example.com:11211", "cache-18.prod.example.com:11211"`: "cache-17 cache-18",
		`"192.168.100.1:11211", "192.168.101.1:11211"`:                         "…168.100.1 …168.101.1",
		`"127.0.0.1:4001", "127.0.0.1:4002"`:                                   "…0.0.1:4001 …0.0.1:4002",
		`"one-and-only.example.com:11211"`:                                     "one-and-only.…",
	} {
		require.Equal(t, want, eval[string](t, b, `labels([`+names+`]).join(" ")`), "labels of the ring tell long names apart")
	}

	// After a time without answers a line begins anew, as if nothing were known of it, which is so.
	require.GreaterOrEqual(t, eval[int](t, b, `hist.forEach((d, i) => { if (i < hist.length / 2) d.t -= 2 * gap }), draw(), document.querySelectorAll("#load polyline").length`), 2*5)

	// Of a large fleet the chart shows those that do most, and says so.
	require.Equal(t, ": the 20 busiest of 30, n29 to n10", eval[string](t, b, `hist.forEach(d => { const n = d.nodes[0];
		d.nodes = Array.from({length: 30}, (_, i) => ({...n, name: "n" + i, requests: i * d.t})) }), draw(),
		$("load-note").textContent + ", " + [...document.querySelectorAll("#load .legend > span")].map(s => s.innerText.trim().split(" ")[0]).filter((_, i) => i % 19 === 0).join(" to ")`))

	mem.Revive("node2:11211")
	b.until(t, `document.querySelector("#nodes tr[data-node=node2]")?.dataset.state === "up"`)
	b.clean(t)
}
