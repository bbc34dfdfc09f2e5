package graph

import (
	"context"

	"canopy/authz"
	"canopy/graph/model"
)

func (r *queryResolver) PermissionChart(context.Context) (*model.PermissionChart, error) {
	chart := &model.PermissionChart{}
	for _, p := range authz.Permissions() {
		d := p.Definition()
		if n := len(chart.Modules); n == 0 || chart.Modules[n-1].Module != d.Module {
			chart.Modules = append(chart.Modules, &model.ModuleChart{Module: d.Module})
		}
		module := chart.Modules[len(chart.Modules)-1]
		module.Permissions = append(module.Permissions, &model.PermissionChartRow{
			Permission: p, Description: d.Description, Holders: holders(p),
		})
	}
	return chart, nil
}

// holders lists the built-in roles that hold the permission.
func holders(p authz.Permission) []*model.PermissionChartHolder {
	list := []*model.PermissionChartHolder{}
	for _, role := range authz.BuiltInRoles() {
		for _, pair := range role.Pairs.List() {
			if pair.Permission == p {
				list = append(list, &model.PermissionChartHolder{RoleKey: role.Key, RoleName: role.Name, Scope: pair.Scope})
			}
		}
	}
	return list
}

// RoleTemplates lists the custom roles to start from.
func (r *queryResolver) RoleTemplates(context.Context) ([]*model.RoleTemplate, error) {
	var list []*model.RoleTemplate
	for _, t := range authz.Templates() {
		list = append(list, &model.RoleTemplate{Key: model.RoleTemplateKey(t.Key), Name: t.Name, Description: t.Description,
			PolicyNote: t.PolicyNote, Pairs: pointers(t.Pairs.List()), MayGiveKeys: append([]string{}, t.MayGive...)})
	}
	return list, nil
}
