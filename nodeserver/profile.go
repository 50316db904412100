package nodeserver

import (
	"fmt"

	"github.com/memherd/memherd/client/memproto"
)

// Profile is the memcached whose protocol a node speaks. An older one than the newest
// lets a client be tested against what an older fleet can do: it knows fewer commands
// and flags, and says so in the version's words. How errors are worded and how
// malformed lines are taken does not change with it.
type Profile uint8

// The profiles, by the version they stand for.
const (
	// ProfileNewest is memcached's head, 1.6.40.
	ProfileNewest Profile = iota
	// Profile15 is 1.5.22: classic commands only. A meta command is an unknown word,
	// and so is the data block of an ms.
	Profile15
	// Profile1618 is 1.6.18: meta commands without E and x, without a conditional mg,
	// without N in an appending ms and s in any; watch knows no deletions.
	Profile1618
	// Profile1622 is 1.6.22: as 1.6.18, with N and s in ms, and watch deletions.
	Profile1622
	// Profile1627 is 1.6.27: all but the conditional mg.
	Profile1627

	numProfiles
)

var profileVersions = [numProfiles]string{
	ProfileNewest: "1.6.40", Profile15: "1.5.22", Profile1618: "1.6.18", Profile1622: "1.6.22", Profile1627: "1.6.27",
}

// String is the version of the memcached that the profile stands for.
func (p Profile) String() string {
	if p < numProfiles {
		return profileVersions[p]
	}
	return "?"
}

// Version is what a node of this profile answers to version: see the constant
// Version, which is the newest profile's.
func (p Profile) Version() string { return p.String() + versionSuffix }

// ParseProfile finds the profile that stands for a version, like "1.6.18".
func ParseProfile(version string) (Profile, error) {
	for p, v := range profileVersions {
		if v == version {
			return Profile(p), nil
		}
	}
	return 0, fmt.Errorf("nodeserver: no profile for version %q: there are 1.5.22, 1.6.18, 1.6.22, 1.6.27 and 1.6.40", version)
}

// apply narrows down what requests may hold.
func (p Profile) apply(lim *memproto.Limits) {
	lim.NoMeta = p == Profile15
	if p.before(Profile1627) {
		lim.MetaFlags = ^(memproto.FlagE | memproto.FlagLx)
	}
}

// before reports whether p stands for an older memcached than q.
func (p Profile) before(q Profile) bool {
	return q == ProfileNewest && p != q || p != ProfileNewest && p < q
}
