"""Parts of the chart that are generated: `python -m wsedge_chart [--check]`, with this folder on the path.

metrics      the tables of metrics of the three programs: names, types, help texts
panels       what each dashboard shows, by names of metrics
dashboards   Grafana's JSON of it

Not part of the product: this is the only place that reads the tables of more than one program.
"""
