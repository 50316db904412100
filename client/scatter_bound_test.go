package client_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// heldUp is a fleet of four nodes on which two of three requests that fill suffix copies of k are held up, some for seconds.
func heldUp(t *testing.T, profile nodeserver.Profile) *memFleet {
	f := newMemFleet(t, 0, nodeserver.Config{Profile: profile})
	var asked atomic.Int64
	f.config.Intercept = func(_ net.Addr, r *memproto.Request) nodeserver.Verdict {
		v := nodeserver.Verdict{Delay: 100 * time.Microsecond}
		if r.Cmd == memproto.CmdMetaSet && hasSuffix(r, "k") && asked.Add(1)%3 != 0 {
			v.Delay = time.Duration(asked.Load()%7) * 500 * time.Millisecond
		}
		return v
	}
	for i := range 4 {
		f.names = append(f.names, fmt.Sprint("node", i))
		f.start(f.names[i])
	}
	return f
}

// readWithinBound has writer store 1, 2, … at k, which holds 0, and judges what read, which reads it by c, returns meanwhile: it is
// not older than what had been confirmed scatterX before the read began. c uses suffix copies all the while.
func readWithinBound(t *testing.T, c, writer *client.Client, read func() string) {
	t.Helper()
	began, lasts := time.Now(), time.Duration(max(30, scaled(t, 120)))*time.Second
	var mu sync.Mutex               // guards confirmed
	confirmed := []time.Duration{0} // when each version was
	var wg sync.WaitGroup
	wg.Go(func() { // while reads are under way, however long they take
		for v := 1; time.Since(began) < lasts; v++ {
			time.Sleep(700 * time.Millisecond)
			if _, err := writer.Set(context.Background(), client.Item{Key: "k", Value: []byte(strconv.Itoa(v))}); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			confirmed = append(confirmed, time.Since(began))
			mu.Unlock()
		}
	})
	for time.Since(began) < lasts {
		at := time.Since(began)
		v, err := strconv.Atoi(read())
		require.NoError(t, err)
		mu.Lock()
		for newer := v + 1; newer < len(confirmed); newer++ {
			require.Less(t, at-scatterX, confirmed[newer], "version %d read %v after %d was confirmed", v, at-confirmed[newer], newer)
		}
		mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
	wg.Wait()
	require.Greater(t, c.Counters().Scattered, uint64(50))
	require.Greater(t, c.Counters().ScatterFills, uint64(5))
}
