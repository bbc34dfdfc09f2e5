package graph

import (
	"context"
	"math"
	"strings"

	"canopy/bulk"
	"canopy/desk"
	"canopy/directory"
	"canopy/graph/bind"

	"github.com/99designs/gqlgen/complexity"
	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// weigh refuses an operation that asks for too much: every field counts 1, and what is within a list counts as often
// as the list can be long.
func (g *guard) weigh(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	weight := complexity.Calculate(ctx, g.schema, op.Operation, op.Variables)
	if weight <= g.limits.Complexity {
		return nil
	}
	return tooComplex("This query asks for up to %d fields; at most %d are allowed. Ask for smaller pages with `first`, or for fewer lists within lists.",
		weight, g.limits.Complexity)
}

// weighted is the schema with the weight of lists.
type weighted struct{ graphql.ExecutableSchema }

// The longest that lists without pages can be.
const (
	longestList  = 200 // where nothing else is known
	longestPairs = 60  // of a role
	longestChain = 64  // of groups above a group
	longestChart = 20  // of modules, of permissions in one, of roles that hold one
	longestPaths = 5   // of a permission of one user at one place: hardly anybody has so many grants that give the same
	longestSum   = 120 // of permissions, gained and lost
)

// judging is what a field weighs for which users are loaded as viewers and judged, over what is asked of it: it takes a
// number of statements of its own for each object that it is asked of, and a preview a transaction. A report weighs as
// much: it reads all that happened.
const judging = 50_000

// Complexity says what a field costs whose selection costs child for one object.
func (w weighted) Complexity(_ context.Context, typeName, fieldName string, child int, args map[string]any) (int, bool) {
	if strings.HasPrefix(typeName, "__") || strings.HasSuffix(typeName, "Connection") {
		return 0, false // a connection has been multiplied already
	}
	field := w.Schema().Types[typeName].Fields.ForName(fieldName)
	if field == nil {
		return 0, false
	}
	switch field.Type.Name() {
	case "AccessHolderConnection", "EffectiveUserConnection":
		return judging + times(pageSize(args), child), true
	case "AccessExplanation", "AccessPreview", "GroupReport":
		return judging + child, true
	}
	if strings.HasSuffix(field.Type.Name(), "Connection") {
		return 1 + times(pageSize(args), child), true
	}
	if field.Type.Elem == nil {
		return 0, false
	}
	return 1 + times(longest(typeName, fieldName, args), child), true
}

// pageSize is what a connection is asked for; sizes that will be refused count as the largest.
func pageSize(args map[string]any) int {
	raw, given := args["first"]
	if !given || raw == nil {
		return defaultPage
	}
	first, err := bind.UnmarshalInt(raw)
	if err != nil || first > maxPage {
		return maxPage
	}
	return max(first, 1)
}

func longest(typeName, fieldName string, args map[string]any) int {
	switch typeName + "." + fieldName {
	case "GroupReport.buckets":
		return desk.MaxBuckets
	case "GroupReport.groups", "GroupReport.agents":
		return desk.MaxReportRows
	case "Query.nodes":
		ids, _ := args["ids"].([]any)
		return max(len(ids), 1)
	case "Query.tags":
		return desk.MaxTags
	case "Conversation.tags":
		return desk.MaxConversationTags
	case "Viewer.sessions":
		return maxSessions
	case "Viewer.grants", "User.grants", "User.roles":
		return maxGrants
	case "AccessHolder.paths", "EffectivePermission.paths":
		return longestPaths
	case "EffectiveUser.permissions", "EffectiveUser.waitingPermissions", "User.effectivePermissions":
		return longestPairs
	case "Role.pairs":
		return longestPairs
	case "ImportRecordsPayload.rows":
		return bulk.MaxAtOnce
	case "AccessPreview.summary":
		return longestSum
	case "AccessChange.highestGroups":
		return longestChart
	case "Group.ancestors":
		return longestChain
	case "AccessExplanation.given", "AccessExplanation.missed":
		return maxExplained
	case "AccessExplanation.remedies":
		return directory.MaxRemedies
	case "AccessRemedy.givers":
		return directory.MaxGivers
	case "PermissionChart.modules", "ModuleChart.permissions", "PermissionChartRow.holders":
		return longestChart
	}
	return longestList
}

// times multiplies without overflow.
func times(n, child int) int {
	if child > math.MaxInt/4/max(n, 1) {
		return math.MaxInt / 4
	}
	return n * child
}
