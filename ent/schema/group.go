package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// MaxDepth is the depth that the database admits; the limit in force may be lower. A PostgreSQL index row holds
// 2.7 kB, which bounds the length of a path.
const MaxDepth = 64

// Group is a node of the account's one tree.
type Group struct{ ent.Schema }

// Mixin of the Group.
func (Group) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Annotations of the Group.
func (Group) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"group_depth":      "depth BETWEEN 0 AND 64",
		"group_root_depth": "parent_id IS NULL AND depth = 0 OR parent_id IS NOT NULL AND depth > 0",
	})}
}

// Fields of the Group. parent_id is the truth; path, depth and wall follow from it and are written by package tree.
func (Group) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("parent_id").Optional().Nillable(),
		field.String("name").NotEmpty().MaxRuneLen(100),
		field.String("name_key").MaxRuneLen(400).Comment("the name folded for comparing without case"),
		field.String("path").MaxLen(6 * (MaxDepth + 1)).Comment("labels from the root to the group"),
		field.Int("depth").NonNegative(),
		field.String("wall").Default("").MaxLen(6 * (MaxDepth + 1)).Comment("path of the nearest RESTRICTED group at or above"),
		field.Enum("visibility").Values("INHERITED", "RESTRICTED").Default("INHERITED"),

		// Settings: empty means inherited.
		field.Bool("shared_inbox").Optional().Nillable(),
		field.Enum("assignment_mode").Values("MANUAL", "ROUND_ROBIN", "RADAR").Optional().Nillable(),
		field.Int("capacity").Optional().Nillable().Comment("open conversations an agent may hold; -1 is unlimited"),
		field.Int("radar_window").Optional().Nillable().Comment("seconds"),
		field.Int("escalate_after").Optional().Nillable().Comment("seconds; -1 is never"),
		field.Int("reassign_after").Optional().Nillable().Comment("seconds; -1 is never"),
		field.Int("close_after").Optional().Nillable().Comment("seconds; -1 is never"),

		field.Time("created_at").Immutable(),
	}
}

// Edges of the Group.
func (Group) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("children", Group.Type).Annotations(entsql.OnDelete(entsql.NoAction)).
			From("parent").Field("parent_id").Unique(),
	}
}

// Indexes of the Group.
func (Group) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("account_id", "path", "wall", "parent_id", "depth", "name").StorageKey("group_tree"),
		index.Fields("account_id", "parent_id", "name_key").Unique().StorageKey("group_sibling_name"),
		index.Fields("account_id").Unique().StorageKey("group_one_root").Annotations(entsql.IndexWhere("parent_id IS NULL")),
	}
}
