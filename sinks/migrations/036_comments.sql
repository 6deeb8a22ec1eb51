-- A note stands at records that can be read, too: why one is provisional, second or at the border of the period.
-- each: view=reconciled_records view=v_reconciled_records
ALTER TABLE {{database}}.{{value}} {{on_cluster}}
    COMMENT COLUMN note 'what else is to be known: why the row of the file cannot be read, or why the class may be due to the period, to a second record of ours or to a call that had not ended; empty: nothing';
