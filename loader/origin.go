package loader

import (
	"fmt"
	"time"
)

// Origin says how the origin is treated when it is slow. The zero value changes nothing.
type Origin struct {
	// SecondAfter lets a second call of Load begin for a key whose first one has run
	// for that long, as one that hangs in a dead connection does, if one of Config.MaxLoads slots is
	// free. Who succeeds first is believed. Both end with the first one's LoadTimeout, and
	// there is no third. 0 means never; else it must be less than Config.LoadTimeout.
	SecondAfter time.Duration
}

func (o Origin) withDefaults(loadTimeout time.Duration) (Origin, error) {
	switch {
	case o.SecondAfter < 0:
		return o, fmt.Errorf("memherd: loader.Config.Origin.SecondAfter is negative (%v): use 0 for never", o.SecondAfter)
	case o.SecondAfter >= loadTimeout:
		return o, fmt.Errorf("memherd: loader.Config.Origin.SecondAfter (%v) is not less than Config.LoadTimeout (%v): a second load would never begin", o.SecondAfter, loadTimeout)
	}
	return o, nil
}
