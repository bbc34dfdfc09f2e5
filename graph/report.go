package graph

import (
	"context"
	"time"

	"canopy/desk"
	"canopy/graph/model"
	"canopy/relay"
)

func (r *queryResolver) GroupReport(ctx context.Context, groupID relay.ID, from, to time.Time, interval desk.Interval, timeZone string) (*model.GroupReport, error) {
	id := groupID.As(relay.KindGroup)
	report, err := r.Desk.GroupReport(ctx, desk.ReportQuery{GroupID: id, From: from, To: to, Every: interval, TimeZone: timeZone})
	if err != nil {
		return nil, err
	}
	g, err := one(ctx, r.DB.Read, groupRows, id, "group")
	if err != nil {
		return nil, err
	}
	out := &model.GroupReport{Group: g, Total: reportNumbers(report.Total), Own: reportNumbers(report.Own),
		Buckets: make([]*model.ReportBucket, len(report.Buckets)), OtherGroups: otherNumbers(report.OtherGroups), OtherAgents: otherNumbers(report.OtherAgents)}
	for i, b := range report.Buckets {
		out.Buckets[i] = &model.ReportBucket{From: b.From, To: b.To, Numbers: reportNumbers(b.Numbers)}
	}
	return out, r.name(ctx, out, report)
}

// name puts groups and agents to their numbers. Somebody who is hidden since the numbers were made is left out.
func (r *resolver) name(ctx context.Context, out *model.GroupReport, report *desk.Report) error {
	groups, err := byID(ctx, r.DB.Read, groupRows, idsOfRows(report.Children))
	if err != nil {
		return err
	}
	agents, err := byID(ctx, r.DB.Read, agentRows, idsOfRows(report.Agents))
	if err != nil {
		return err
	}
	out.Groups, out.Agents = []*model.GroupReportRow{}, []*model.AgentReportRow{}
	for _, n := range report.Children {
		if g := groups[n.ID]; g != nil {
			out.Groups = append(out.Groups, &model.GroupReportRow{Group: g, Numbers: reportNumbers(n.Numbers)})
		}
	}
	for _, n := range report.Agents {
		if a := agents[n.ID]; a != nil {
			out.Agents = append(out.Agents, &model.AgentReportRow{Agent: a, Numbers: reportNumbers(n.Numbers)})
		}
	}
	return nil
}

func idsOfRows(list []desk.NumbersOf) []int64 {
	ids := make([]int64, len(list))
	for i, n := range list {
		ids[i] = n.ID
	}
	return ids
}

func reportNumbers(n desk.Numbers) *model.ReportNumbers {
	return &model.ReportNumbers{
		Arrivals: n.Arrivals, Taken: n.Taken, PassedOn: n.PassedOn, Closed: n.Closed, Open: n.Open, Waiting: n.Waiting,
		FirstResponse: reportDurations(n.FirstResponse), Resolution: reportDurations(n.Resolution),
	}
}

func otherNumbers(n *desk.Numbers) *model.ReportNumbers {
	if n == nil {
		return nil
	}
	return reportNumbers(*n)
}

func reportDurations(d desk.Durations) *model.ReportDurations {
	if d.Count == 0 {
		return &model.ReportDurations{}
	}
	return &model.ReportDurations{Count: d.Count, Average: &d.Average, Median: &d.Median, P90: &d.P90}
}
