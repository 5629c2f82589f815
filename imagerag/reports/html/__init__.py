"""Self-contained HTML pages: run report, index, answer, difference of two runs. No network, no script.

To add a section to the run report, write what it says in a module here, its markup in `templates/`, place it in
`templates/run_report.html`, and hand the module to the template in `run_page.py`.
"""
