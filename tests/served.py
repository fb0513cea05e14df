"A real service for tests that ask one: a process whose engine counts words, so that everybody knows what it says"
import json
from contextlib import contextmanager
from pathlib import Path

from serving import service_process

root = Path(__file__).resolve().parent.parent
counting = """
import json,sys,numpy as np
from toxicai.serve.backends import Backend,add_backend
from toxicai.serve.folder import read_folder
folder,config = sys.argv[1],json.loads(sys.argv[2])
tok = read_folder(folder).encoder().tok
worth = {'idiot':(5.,6.), 'moron':(4.,5.), 'crap':(4.,0.), 'thank':(-2.,-1.)} # of toxic and insult, in log-odds
def open_counter(folder, path, threads, at_once):
    def run(x):
        ids = x['input_ids']
        return sum((ids==tok.token_to_id(k)).sum(1, keepdims=True)*np.array([v]) for k,v in worth.items()).astype(np.float32)-3
    return run
add_backend(Backend('counter', library='numpy', install='numpy', open=open_counter))
from toxicai.serve.running import run_service
run_service(folder, backend='counter', port=0, **config)
"""

@contextmanager
def counting_service(
    folder, # A detector folder of toxic and insult
    **config, # For `run_service`
): # Address and process
    "A service at work, until the end of the block"
    with service_process(counting, str(folder), json.dumps(config), PYTHONPATH=str(root), OMP_NUM_THREADS='1') as (url,p,_): yield url,p
