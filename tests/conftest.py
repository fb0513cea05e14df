"Shared by all tests: nothing reaches a network or a screen; what needs a GPU says so where there is none"
import os,random,sys
os.environ.update(HF_HUB_OFFLINE='1', WANDB_MODE='offline', WANDB_SILENT='true', MPLBACKEND='Agg')

import numpy as np,pytest

def pytest_collection_modifyitems(items):
    on_gpu = [o for o in items if o.get_closest_marker('cuda')]
    if not on_gpu: return
    import torch
    if torch.cuda.is_available(): return
    for o in on_gpu: o.add_marker(pytest.mark.skip(reason='no CUDA device'))

def _seed():
    random.seed(42)
    np.random.seed(42)
    if 'torch' in sys.modules: sys.modules['torch'].manual_seed(42)

@pytest.fixture(autouse=True, scope='module')
def seeded_module(): _seed() # before what the tests of a file share

@pytest.fixture(autouse=True)
def seeded(): _seed() # a test gives the same wherever it runs, alone or after others

@pytest.fixture(params=['cpu', pytest.param('cuda', marks=pytest.mark.cuda)])
def device(request): return request.param
