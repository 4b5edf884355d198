from .batch import run_batch as run_batch
from .chain import run_comparison as run_comparison, run_dataset as run_dataset
from .checking import Checked as Checked, check_dataset as check_dataset
from .comparison import Comparison as Comparison, evaluated as evaluated
from .grid import run_grid as run_grid
from .report.crate import write_crate as write_crate
from .report.page import write_index as write_index
from .run import Run as Run, setup as setup
from .specimen import specimen_of as specimen_of
