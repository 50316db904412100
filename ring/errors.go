package ring

import "errors"

// What New refuses. Each error returned wraps exactly one of these, adds which
// node and value it is about, and says what to do.
var (
	ErrNoNodes         = errors.New("ring: no nodes")
	ErrTooManyNodes    = errors.New("ring: too many nodes")
	ErrDuplicateNode   = errors.New("ring: duplicate node")
	ErrBadAddress      = errors.New("ring: bad node address")
	ErrBadName         = errors.New("ring: bad node name")
	ErrBadWeight       = errors.New("ring: bad node weight")
	ErrMissingZone     = errors.New("ring: node without a zone")
	ErrTooFewNodes     = errors.New("ring: fewer nodes than copies")
	ErrBadCopies       = errors.New("ring: bad number of copies")
	ErrBadPlacement    = errors.New("ring: unknown placement")
	ErrBadVirtualNodes = errors.New("ring: bad number of virtual nodes")
	ErrBadKeyTag       = errors.New("ring: bad key tag")
)
