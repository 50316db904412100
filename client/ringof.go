package client

import "github.com/memherd/memherd/ring"

// Ring returns the placement that reads go by now: an immutable snapshot, another one after the next
// change of the fleet.
func (c *Client) Ring() *ring.Ring { return c.top.Load().ring }
