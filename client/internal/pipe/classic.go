package pipe

import (
	"fmt"
	"strconv"

	"github.com/memherd/memherd/client/internal/classic"
	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// What follows a data block: its line end, and in a classic reply, which may have any
// number of values, the end of the reply. We ask for one key at a time: there is no
// second value.
const (
	lineEnd    = "\r\n"
	classicEnd = "\r\nEND\r\n"
)

// classicRest is room for all of a classic request but its value.
const classicRest = 512

// encodeClassic is encode in classic words.
func (c *Conn) encodeClassic(k *Call) {
	if len(k.Req.Value) < bulkRequest {
		k.line = k.classic.Append(k.line[:0], &k.Req)
		return
	}
	if k.bulk == nil { // else from a connection that died before it took the request
		k.bulk = k.pool.buf(len(k.Req.Value) + classicRest)
	}
	k.bulk = k.classic.Append(k.bulk[:0], &k.Req)
}

// matchClassic is match for a request that was sent in classic words.
func (c *Conn) matchClassic(k *Call) (bool, error) {
	r := &c.resp
	status := r.Status
	if status.IsError() {
		k.Text = string(r.Message)
	}
	switch k.classic.Match(r) {
	case classic.More:
		return false, nil
	case classic.Done:
		if r.Status.IsError() {
			k.Sent = item.Answered
		}
		if r.Status == memproto.StatusVA && r.BodyLen < 0 {
			k.Value = strconv.AppendUint(nil, r.Number, 10)
		}
		return true, nil
	}
	if status.IsError() {
		return false, fmt.Errorf("%w: %s %s", item.ErrServer, status, k.Text)
	}
	return false, misfit(status, k.cmd)
}
