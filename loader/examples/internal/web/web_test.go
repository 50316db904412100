package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/loader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		v    any
		err  error
		want int
		body string
	}{
		"value":     {map[string]int{"a": 1}, nil, 200, "{\"a\":1}\n"},
		"not there": {nil, fmt.Errorf("wrapped: %w", loader.ErrNotFound), 404, "Not Found\n"},
		"bad key":   {nil, item.ErrMalformedKey, 400, "Bad Request\n"},
		"bad body":  {nil, ErrBadRequest, 400, "Bad Request\n"},
		"failure":   {nil, errors.New("secret"), 503, "Service Unavailable\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			Func(func(*http.Request) (any, error) { return c.v, c.err }).ServeHTTP(w, nil)
			require.Equal(t, c.want, w.Code)
			require.Equal(t, c.body, w.Body.String())
		})
	}
}

func TestBodies(t *testing.T) {
	type page struct{ Title string }
	for body, want := range map[string]int{
		`{"Title":"x"}`: 200, `{"Title":"x"} `: 200,
		``: 400, `{`: 400, `{"Title":1}`: 400, `{"Other":"x"}`: 400, `{"Title":"x"}{}`: 400,
		`{"Title":"` + strings.Repeat("x", most) + `"}`: 400,
	} {
		w := httptest.NewRecorder()
		got := ""
		Put(func(_ *http.Request, p page) error { got = p.Title; return nil }).ServeHTTP(w, httptest.NewRequest("PUT", "/", strings.NewReader(body)))
		require.Equal(t, want, w.Code, "%.20s", body)
		require.Equal(t, want == 200, got == "x")
	}
}

// notify is a writer that tells what is written to it.
type notify chan string

func (n notify) Write(b []byte) (int, error) { n <- string(b); return len(b), nil }

func TestRunServesUntilItIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	said, ended := make(notify, 1), make(chan error, 1)
	var closed []int
	go func() {
		ended <- Run(ctx, []string{"-listen", "127.0.0.1:0", "-nodes", "a:1,b:2"}, said, "file", func(_ context.Context, app *App) (http.Handler, error) {
			for i := range 2 {
				app.OnExit(func() error { closed = append(closed, i); return nil })
			}
			return Func(func(*http.Request) (any, error) { return app, nil }), nil
		})
	}()
	addr := strings.TrimSpace(strings.TrimPrefix(<-said, "listening on "))
	resp, err := http.Get("http://" + addr)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.JSONEq(t, `{"DB":"file","Nodes":["a:1","b:2"]}`, string(b))
	http.DefaultClient.CloseIdleConnections()
	cancel()
	require.NoError(t, <-ended)
	require.Equal(t, []int{1, 0}, closed)
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	bad := func(_ context.Context, app *App) (http.Handler, error) {
		app.OnExit(func() error { return errors.New("closed, too") })
		return nil, errors.New("-db: no such thing")
	}
	for want, args := range map[string][]string{
		"no-such-flag":        {"-no-such-flag"},
		"\"file\" is no flag": {"file"},
		"-listen":             {"-listen", "nowhere"},
		"-db: no such thing":  {"-listen", "127.0.0.1:0"},
		"closed, too":         {"-listen", "127.0.0.1:0"},
	} {
		var out bytes.Buffer
		require.ErrorContains(t, Run(context.Background(), args, &out, "", bad), want)
	}
}
