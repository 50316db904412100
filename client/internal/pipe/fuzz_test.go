package pipe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// script is a peer that takes everything and says its parts, one per read, then ends.
type script struct {
	net.Conn
	parts [][]byte
}

func (s *script) Read(p []byte) (int, error) {
	for len(s.parts) > 0 && len(s.parts[0]) == 0 {
		s.parts = s.parts[1:]
	}
	if len(s.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.parts[0])
	s.parts[0] = s.parts[0][n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error)      { return len(p), nil }
func (s *script) Close() error                     { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// outcome is what a call came to, in a form that can be compared.
type outcome struct {
	Resp              Reply
	Value, Text, Fail string
	Stats             []string
	Answers           []Answer
	Sent              item.Sent
}

// listen makes calls of the kinds on a connection whose peer says the parts.
func listen(t *testing.T, kinds []int, parts ...[]byte) (out []outcome, opaques []string) {
	var calls Pool
	var wg sync.WaitGroup
	died := 0
	c := New(&script{parts: parts}, Config{
		Timeout: time.Hour, MaxValue: 1 << 20, Calls: &calls,
		Go:     func(f func()) bool { wg.Go(f); return true },
		OnDead: func(*Conn, error) { died++ },
	})
	ks := make([]*Call, len(kinds))
	for i, kind := range kinds {
		ks[i] = calls.New()
		ks[i].Req = replyKinds[kind].req
		ks[i].Req.Key = []byte("key")
		ks[i].asking(replyKinds[kind].asks)
	}
	require.NoError(t, c.StartAll(context.Background(), ks))
	for _, k := range ks {
		opaques = append(opaques, string(k.opaque[:k.opaqueN]))
	}
	held := 0
	for _, k := range ks {
		require.True(t, c.Wait(context.Background(), k))
		o := outcome{Resp: k.Resp, Value: string(k.Value), Text: k.Text, Stats: k.Stats, Answers: slices.Clone(k.Answers()), Sent: k.Sent}
		if k.Err != nil {
			// Where the stream broke may depend on how it was cut, but not for whom.
			o = outcome{Fail: "failed", Sent: k.Sent}
			require.True(t, errors.Is(k.Err, item.ErrConnLost) || errors.Is(k.Err, item.ErrDesync) || errors.Is(k.Err, item.ErrServer), "%v", k.Err)
		}
		held += cap(k.Value)
		for _, a := range k.Answers() {
			held += cap(a.Value)
		}
		out = append(out, o)
	}
	require.LessOrEqual(t, held+cap(c.body), 2*size(parts)+(len(ks)+1)*firstBody, "memory follows what arrives")
	c.Kill(item.ErrClosed)
	wg.Wait()
	require.Equal(t, 1, died)
	require.Zero(t, c.Pending())
	return out, opaques
}

func size(parts [][]byte) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}

// standsBehind reports whether stream has a reply line with this token, and the value after it
// if the reply has one.
func standsBehind(stream []byte, opaque string, o outcome) bool {
	for rest := string(stream); ; {
		line, after, ok := strings.Cut(rest, "\n")
		if !ok {
			return false
		}
		for _, f := range strings.Fields(line) {
			if f == "O"+opaque && (o.Resp.Status != memproto.StatusVA || strings.HasPrefix(after, o.Value+"\r\n")) {
				return true
			}
		}
		rest = after
	}
}

// standsUnder reports whether stream has a classic reply that gives key this value.
func standsUnder(stream []byte, key, value string) bool {
	for rest := string(stream); ; {
		line, after, ok := strings.Cut(rest, "\n")
		if !ok {
			return false
		}
		if f := strings.Fields(line); len(f) >= 4 && f[0] == "VALUE" && f[1] == key && strings.HasPrefix(after, value+"\r\n") {
			return true
		}
		rest = after
	}
}

// FuzzReplyStream: whatever a peer says to a pipeline of requests of any kinds, in
// whatever pieces, every call ends, nothing panics, memory follows what has arrived,
// how the stream is cut changes nothing, and no call is given a reply, or a value, that
// does not stand behind its own token.
func FuzzReplyStream(f *testing.F) {
	order := []byte{0, 3, 4, 14, 7, 8, 10, 15, 13, 1, 2, 5, 6, 16, 9, 11, 12}
	for n := 1; n <= len(order); n++ {
		var stream []byte
		for i, kind := range order[:n] {
			opaque := " O" + string("123456789abcdefgh"[i])
			stream = append(stream, strings.ReplaceAll(replyKinds[kind].reply, " O1", opaque)...)
		}
		f.Add(stream, order[:n], uint16(n*7), uint16(n*3))
	}
	f.Add([]byte("VA 5 f1 O2\r\nhello\r\nVA 5 f1 O1\r\nworld\r\n"), []byte{0, 0}, uint16(3), uint16(20))
	f.Add([]byte("VA 1000000 f1 O1\r\nhello"), []byte{0, 0}, uint16(3), uint16(20))
	f.Add([]byte("VA 14 f1 O1\r\nVA 2 f1 O2\r\nhi\r\n\r\nEN O2\r\n"), []byte{0, 0}, uint16(12), uint16(2))
	f.Fuzz(func(t *testing.T, stream, which []byte, cut1, cut2 uint16) {
		if len(which) == 0 || len(which) > 40 || len(stream) > 1<<16 {
			return
		}
		kinds := make([]int, len(which))
		for i, b := range which {
			kinds[i] = int(b) % len(replyKinds)
		}
		i := int(cut1) % (len(stream) + 1)
		j := i + int(cut2)%(len(stream)-i+1)
		whole, opaques := listen(t, kinds, bytes.Clone(stream))
		cut, _ := listen(t, kinds, stream[:i:i], stream[i:j:j], stream[j:])
		require.Equal(t, whole, cut, "cut at %d and %d", i, j)
		for n, o := range whole {
			if o.Fail != "" || opaques[n] == "" || o.Resp.Status.IsError() {
				continue // an error line carries no token; it gives no value either
			}
			if asks := replyKinds[kinds[n]].asks; asks != nil {
				require.Len(t, o.Answers, len(asks))
				for i, a := range o.Answers {
					require.True(t, a.Resp.Status != memproto.StatusVA || i == len(asks)-1 || standsUnder(stream, asks[i], string(a.Value)), "call %d got %+v", n, o)
				}
				last := o.Answers[len(asks)-1]
				require.True(t, standsBehind(stream, opaques[n]+"."+strconv.Itoa(len(asks)-1), outcome{Resp: last.Resp, Value: string(last.Value)}), "call %d got %+v", n, o)
				continue
			}
			require.True(t, standsBehind(stream, opaques[n], o), "call %d got %+v", n, o)
		}
	})
}
