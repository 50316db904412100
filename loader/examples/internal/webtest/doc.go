// Package webtest runs an example's service as processes of its own, for its tests.
package webtest
