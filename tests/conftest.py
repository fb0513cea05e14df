"Shared by all tests: nothing reaches a network or a screen; what needs a GPU says so where there is none"
import os
os.environ.update(HF_HUB_OFFLINE='1', WANDB_MODE='offline', WANDB_SILENT='true', MPLBACKEND='Agg')

import pytest
from toxicai.train.provenance import seed_everything

def pytest_collection_modifyitems(items):
    on_gpu = [o for o in items if o.get_closest_marker('cuda')]
    if not on_gpu: return
    import torch
    if torch.cuda.is_available(): return
    for o in on_gpu: o.add_marker(pytest.mark.skip(reason='no CUDA device'))

@pytest.fixture(autouse=True, scope='module')
def seeded_module(): seed_everything(42) # before what the tests of a file share

@pytest.fixture(autouse=True)
def seeded(): seed_everything(42) # a test gives the same wherever it runs, alone or after others

@pytest.fixture(params=['cpu', pytest.param('cuda', marks=pytest.mark.cuda)])
def device(request): return request.param
