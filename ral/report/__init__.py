"""Pages made from the files of a run: report, viewer of attention, model card, dashboard; and their figures."""
