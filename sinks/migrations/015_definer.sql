-- Each view reads the tables with the rights of whoever migrates, so that its readers need none on tables with restricted columns.
-- each: v_cdr=1 v_call_events=2 v_timelines=3 v_bindings=4 v_dead_letters=5 v_conferences=6 v_conflicts=7 v_charges_day=8 v_kpi_5m=9 v_kpi_hour=10 v_kpi_day=11
ALTER TABLE {{database}}.{{each}} {{on_cluster}} MODIFY SQL SECURITY DEFINER;
