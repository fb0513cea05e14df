"A detector of six labels that has learnt nothing, for tests of whatever serves it; a file that needs another has its own `folder` or `d`"
import pytest
from serving import key,save_six

@pytest.fixture(scope='session')
def folder(tmp_path_factory): return save_six(tmp_path_factory.mktemp('served')/'six')

@pytest.fixture(scope='session')
def d(folder):
    from toxicai.serve.detector import Detector
    return Detector(folder, 'torch')

@pytest.fixture(scope='session')
def keys_file(tmp_path_factory):
    "The only key is `serving.key`"
    path = tmp_path_factory.mktemp('keys')/'keys.txt'
    path.write_text(f'forum {key}\n')
    return str(path)
