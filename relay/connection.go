package relay

// Connection is one page of a list, in the shape that Relay clients expect.
type Connection[T any] struct {
	Edges    []Edge[T]
	PageInfo PageInfo
	// TotalCount is how many entries the whole list has; it is filled only when the client asked for it.
	TotalCount int
}

// Edge is one entry of a page.
type Edge[T any] struct {
	Node     T
	position func(T) Position
}

// PageInfo says where a page stands in its list. The cursors are nil on an empty page.
type PageInfo struct {
	HasNextPage     bool
	HasPreviousPage bool
	StartCursor     *string
	EndCursor       *string
}

// NewConnection makes a page of the rows. More says whether others follow, later whether the page begins behind a
// cursor; the position of a row is where the list goes on behind it.
func NewConnection[T any](rows []T, more, later bool, position func(T) Position) *Connection[T] {
	page := &Connection[T]{
		Edges:    make([]Edge[T], len(rows)),
		PageInfo: PageInfo{HasNextPage: more, HasPreviousPage: later},
	}
	for i, row := range rows {
		page.Edges[i] = Edge[T]{Node: row, position: position}
	}
	if n := len(rows); n > 0 {
		start, end := page.Edges[0].Cursor(), page.Edges[n-1].Cursor()
		page.PageInfo.StartCursor, page.PageInfo.EndCursor = &start, &end
	}
	return page
}

// Nodes returns the entries without their cursors.
func (c *Connection[T]) Nodes() []T {
	nodes := make([]T, len(c.Edges))
	for i := range c.Edges {
		nodes[i] = c.Edges[i].Node
	}
	return nodes
}

// Each calls visit with every entry. It is Nodes for those who do not know the type of the entries.
func (c *Connection[T]) Each(visit func(node any)) {
	for i := range c.Edges {
		visit(c.Edges[i].Node)
	}
}

// Cursor returns the place of the entry in its list.
func (e *Edge[T]) Cursor() string { return e.position(e.Node).Cursor() }
