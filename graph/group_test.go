package graph_test

import (
	"testing"

	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"
)

func TestTreeAsItsViewersSeeIt(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		const whole = `{ rootGroup { name childCount descendantCount descendants(first: 200) { totalCount nodes { name depth parent { name } ancestors { name } } } } }`
		same(t, w.ask("olga", whole), `{"rootGroup":{"name":"root","childCount":3,"descendantCount":6,"descendants":{"totalCount":6,"nodes":[`+
			`{"name":"sales","depth":1,"parent":{"name":"root"},"ancestors":[{"name":"root"}]},`+
			`{"name":"north","depth":2,"parent":{"name":"sales"},"ancestors":[{"name":"root"},{"name":"sales"}]},`+
			`{"name":"south","depth":2,"parent":{"name":"sales"},"ancestors":[{"name":"root"},{"name":"sales"}]},`+
			`{"name":"support","depth":1,"parent":{"name":"root"},"ancestors":[{"name":"root"}]},`+
			`{"name":"vault","depth":1,"parent":{"name":"root"},"ancestors":[{"name":"root"}]},`+
			`{"name":"cellar","depth":2,"parent":{"name":"vault"},"ancestors":[{"name":"root"},{"name":"vault"}]}]}}}`)
		same(t, w.ask("sue", `{ rootGroup { name } groups { totalCount nodes { name parent { name } childCount descendantCount } } }`),
			`{"rootGroup":null,"groups":{"totalCount":3,"nodes":[`+
				`{"name":"sales","parent":null,"childCount":2,"descendantCount":2},`+
				`{"name":"north","parent":{"name":"sales"},"childCount":0,"descendantCount":0},`+
				`{"name":"south","parent":{"name":"sales"},"childCount":0,"descendantCount":0}]}}`)
		same(t, w.ask("ana", `{ groups { nodes { name parent { name } ancestors { name } descendants { nodes { name } } } } }`),
			`{"groups":{"nodes":[{"name":"north","parent":null,"ancestors":[],"descendants":{"nodes":[]}}]}}`)
		_ = relay.KindGroup
	})
}
