package client

import (
	"github.com/memherd/memherd/client/internal/pipe"
	"github.com/memherd/memherd/client/memproto"
	"github.com/memherd/memherd/hotkey"
)

// elsewhereFlags ask whether an item was read before, and how many seconds ago.
const elsewhereFlags = memproto.FlagLh | memproto.FlagLl

// hearElsewhere tells the detector what a node said of others' reads of key (hotkey.Config.AskNodes): nothing, if it has no
// value or could not be asked.
func (c *Client) hearElsewhere(a *pipe.Answer, hash uint64, key string) {
	if a.Resp.Bare || !valid(a) || !a.Resp.Flags.Has(elsewhereFlags) {
		return
	}
	c.detector.Elsewhere(hash, key, a.Resp.Hit && a.Resp.LastAccess <= hotkey.Moment)
}
