package live

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/metrics"
	"github.com/memherd/memherd/client/observe/timing"
	"github.com/memherd/memherd/loader"
	"github.com/memherd/memherd/nodeserver"
	"github.com/memherd/memherd/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fleet is three nodes, a timed client with two copies, and a loader that was asked for a secret key.
func fleet(t testing.TB) (*nodeserver.MemNetwork, metrics.Source) {
	mem := nodeserver.NewMemNetwork()
	for _, n := range []string{"a", "b", "c"} {
		srv, err := nodeserver.Start(nodeserver.Config{Network: mem, Addr: n + ":11211"})
		require.NoError(t, err)
		t.Cleanup(func() { srv.Close() })
	}
	c, err := client.New(client.Config{Nodes: ring.Addrs("a", "b", "c"), ReplicationFactor: 2, DialContext: mem.DialContext, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second})
	require.NoError(t, err)
	timed, err := timing.New(timing.Config{Client: c, Every: 1})
	require.NoError(t, err)
	users, err := loader.New(timed, loader.Config[string]{Load: func(context.Context, string) (string, error) { return "Ada", nil }, TTL: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { users.Close(); c.Close() })
	for range 50 {
		_, err = users.Get(context.Background(), "secret-key")
		require.NoError(t, err)
	}
	return mem, metrics.Source{Client: c, Timing: timed, Loaders: map[string]func() any{"users": func() any { return users.Counters() }}}
}

func serve(t testing.TB, cfg Config) *httptest.Server {
	h, err := New(cfg)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/debug/memherd/", h)
	mux.Handle("/debug/memherd", h)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func get(t testing.TB, srv *httptest.Server, path string) (*http.Response, string) {
	resp, err := srv.Client().Get(srv.URL + path)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp, string(body)
}

func data(t testing.TB, srv *httptest.Server) (d Data) {
	_, body := get(t, srv, "/debug/memherd/data.json")
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&d))
	return d
}

// TestData: the figures are the client's, and a node that is killed is seen to be down.
func TestData(t *testing.T) {
	mem, source := fleet(t)
	srv := serve(t, Config{Source: source})
	d := data(t, srv)
	require.Equal(t, 2, d.Copies)
	require.Len(t, d.Nodes, 3)
	share := 0.0
	for _, n := range d.Nodes {
		require.Equal(t, "up", n.State)
		share += n.Share
	}
	require.InDelta(t, 1, share, 1e-9)
	require.EqualValues(t, 1, d.Reads.Miss)
	require.EqualValues(t, 49, d.Reads.NodeHit)
	require.EqualValues(t, 1, d.Events.LeasesWon)
	require.EqualValues(t, 1, d.Loaders["users"]["loads"])
	calls := uint64(0)
	for _, b := range d.Latency["lease"] {
		calls += b[1]
	}
	require.EqualValues(t, 50, calls)

	mem.Kill("a:11211")
	for data(t, srv).Nodes[0].State == "up" {
		source.Client.Delete(context.Background(), "k") // an error or not: it lets the client notice
		for _, key := range []string{"1", "2", "3", "4", "5", "6"} {
			source.Client.Delete(context.Background(), key)
		}
	}
	require.Positive(t, data(t, srv).Nodes[0].Failures)
}

// TestANodeThatMoves: while a node of one name is in its fleet at two addresses its share is shown once, and the two
// can be told apart.
func TestANodeThatMoves(t *testing.T) {
	mem := nodeserver.NewMemNetwork()
	c, err := client.New(client.Config{Nodes: []ring.Node{{Name: "cache1", Addr: "old:1"}, {Name: "cache2", Addr: "stays:1"}}, DialContext: mem.DialContext})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetNodes([]ring.Node{{Name: "cache1", Addr: "new:1"}, {Name: "cache2", Addr: "stays:1"}}))
	h, err := New(Config{Source: metrics.Source{Client: c}})
	require.NoError(t, err)
	share, at := 0.0, map[string]bool{}
	nodes := h.Data().Nodes
	for _, n := range nodes {
		require.Equal(t, n.Addr != "new:1", n.Share > 0, n.Addr)
		share += n.Share
		at[n.Addr] = true
	}
	require.InDelta(t, 1, share, 1e-9)
	require.Len(t, nodes, 3)
	require.Len(t, at, 3)
}

// TestKeysAreHidden unless they are to be shown.
func TestKeysAreHidden(t *testing.T) {
	_, source := fleet(t)
	seen := map[Keys]string{}
	for _, keys := range []Keys{KeysHidden, KeysHashed, KeysShown} {
		srv := serve(t, Config{Source: source, Keys: keys})
		_, body := get(t, srv, "/debug/memherd/data.json")
		require.Equal(t, keys == KeysShown, strings.Contains(body, "secret-key"))
		hot := data(t, srv).Hot
		require.NotEmpty(t, hot)
		require.Equal(t, hot[0].Key, data(t, srv).Hot[0].Key, "the same each time")
		seen[keys] = hot[0].Key
	}
	require.Equal(t, "no. 1", seen[KeysHidden])
	require.Regexp(t, "^[0-9a-f]{12}$", seen[KeysHashed])
	other := serve(t, Config{Source: source, Keys: KeysHashed})
	require.NotEqual(t, seen[KeysHashed], data(t, other).Hot[0].Key, "another Handler, another secret")
	require.Empty(t, data(t, serve(t, Config{Source: source, HotKeys: -1})).Hot)
}

// TestPage: one document, nothing from outside, its own script and no other.
func TestPage(t *testing.T) {
	_, source := fleet(t)
	srv := serve(t, Config{Source: source})
	for _, path := range []string{"/debug/memherd/", "/debug/memherd"} {
		resp, body := get(t, srv, path)
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
		require.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'none'")
		require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
		require.NotContains(t, body, "{{")
		require.Contains(t, body, pageJS)
		require.Less(t, len(body), 64<<10)
		for _, m := range regexp.MustCompile(`(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)`).FindAllStringSubmatch(body, -1) {
			require.True(t, strings.HasPrefix(m[1], "data:") || m[1] == "data.json", m[0])
		}
		require.NotContains(t, body, "http://")
		require.NotContains(t, body, "https://")
	}
	resp, _ := get(t, srv, "/debug/memherd/other.js")
	require.Equal(t, 404, resp.StatusCode)
	resp, err := srv.Client().Post(srv.URL+"/debug/memherd/", "text/plain", nil)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 405, resp.StatusCode)
	require.Equal(t, "GET, HEAD", resp.Header.Get("Allow"))
}

// TestBehindStripPrefix: nothing is left of the path then, or not even a slash.
func TestBehindStripPrefix(t *testing.T) {
	_, source := fleet(t)
	h, err := New(Config{Source: source})
	require.NoError(t, err)
	for _, path := range []string{"/debug/memherd", "/debug/memherd/", "/debug/memherd/data.json"} {
		w := httptest.NewRecorder()
		http.StripPrefix("/debug/memherd", h).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		require.Equal(t, 200, w.Code, path)
	}
}

func TestConfig(t *testing.T) {
	_, source := fleet(t)
	for want, cfg := range map[string]Config{
		"Source.Client": {}, "Config.Keys": {Source: source, Keys: 9}, "Config.HotKeys": {Source: source, HotKeys: 1001},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, want)
	}
}
