package client_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/nodeserver"
)

// hedgedWins is when what happens, in milliseconds.
type hedgedWins struct {
	home, one, two time.Duration // how late the nodes answer
	leaves         time.Duration // when the caller does
	stale          []int         // what is marked: at the home copy the second key, at the others theirs
}

const never = 1000

// A GetMulti of two keys of one node whose other copies are on two others, hedged after 2 ms, or a Get of the second. Whichever answer comes when, and whether
// anybody still waits for it: a win that it brings, of a value that another program has marked stale, is given back.
func TestHedgedReadsGiveEveryWinBack(t *testing.T) {
	for name, c := range map[string]hedgedWins{
		"the others behind the home copy":           {10, 50, 50, never, []int{1, 2}},
		"one behind the home copy":                  {10, 0, 50, never, []int{1, 2}},
		"the home copy behind its key's other":      {20, 0, 50, never, []int{0}}, // the first key's comes at once, and the second's
		"the home copy between":                     {20, 50, 0, never, []int{0}},
		"the others first, and stale":               {20, 0, 0, never, []int{1, 2}},
		"all at once":                               {10, 8, 8, never, []int{0, 1, 2}},
		"the caller leaves before any":              {20, 50, 50, 10, []int{0, 1, 2}},
		"the caller leaves behind one":              {20, 0, 50, 10, []int{0, 1, 2}},
		"the caller leaves as the home answers":     {10, 50, 50, 10, []int{0, 1, 2}},
		"the caller leaves as another answers":      {50, 8, 8, 10, []int{0, 1, 2}},
		"the caller leaves before another is asked": {20, 0, 0, 1, []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			for round := range scaled(t, 60) { // of two things that happen at one moment each is to come first
				synctest.Test(t, func(t *testing.T) { c.run(t, round%2 == 0) })
			}
		})
	}
}

// run makes the call, of one key by Get unless it is of many.
func (c hedgedWins) run(t *testing.T, many bool) {
	f, late := newMemFleet(t, 0, nodeserver.Config{}), [3]time.Duration{}
	for i := range 3 {
		f.names = append(f.names, fmt.Sprint("node", i))
		f.config.Intercept = func(_ net.Addr, r *memproto.Request) (v nodeserver.Verdict) {
			if (r.Cmd == memproto.CmdMetaGet || r.Cmd == memproto.CmdGet) && !ofEpoch(r) {
				v.Delay = late[i]
			}
			return v
		}
		f.start(f.names[i])
	}
	x := f.client(client.Config{ReplicationFactor: 2, HedgeAfter: 2 * time.Millisecond, Timeout: time.Second})
	// Two keys of one node, and the others that have them.
	var keys, at [3]string
	for i := 0; keys[1] == "" || keys[2] == ""; i++ {
		key := fmt.Sprint("k", i)
		copies, all := x.Ring().Lookup(key), x.Ring().Nodes()
		switch home, other := all[copies[0]].Name, all[copies[1]].Name; {
		case home != "node0":
		case other == "node1":
			keys[1], at[1] = key, other
		default:
			keys[2], at[2] = key, other
		}
	}
	keys[0], at[0] = keys[2], "node0" // the last of a burst is the one whose reply tells a win
	for _, key := range keys[1:] {
		set(t, x, key, "v")
	}
	for _, i := range c.stale {
		f.markStale(at[i], keys[i])
	}
	late = [3]time.Duration{c.home * time.Millisecond, c.one * time.Millisecond, c.two * time.Millisecond}
	ctx, cancel := context.WithTimeout(t.Context(), c.leaves*time.Millisecond)
	defer cancel()
	found := map[string]client.Item{}
	var err error
	if many {
		found, err = x.GetMulti(ctx, keys[1:])
	} else if found[keys[2]], err = x.Get(ctx, keys[2]); err != nil {
		clear(found)
	}
	if c.leaves == never {
		require.NoError(t, err)
		require.NotEmpty(t, found)
		require.Equal(t, many, len(found) == 2)
	}
	for _, it := range found {
		require.Equal(t, "v", string(it.Value))
	}
	time.Sleep(time.Second)
	synctest.Wait()
	late = [3]time.Duration{}
	for _, i := range c.stale {
		require.Regexp(t, " W", f.line(at[i], "mg "+keys[i]+" t\r\n"), "whoever comes next wins at %s", at[i])
	}
	closeFleet(t, f, x)
}

// line is a node's answer of one line.
func (f *memFleet) line(node, request string) string {
	nc, err := f.network.DialContext(context.Background(), "", node)
	require.NoError(f.t, err)
	defer nc.Close()
	_, err = nc.Write([]byte(request))
	require.NoError(f.t, err)
	line, err := bufio.NewReader(nc).ReadString('\n')
	require.NoError(f.t, err)
	return line
}
