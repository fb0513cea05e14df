"A real service for tests that ask one: a process whose engine counts words, so that everybody knows what it says"
import json,os,re,subprocess,sys,tempfile
from contextlib import contextmanager
from pathlib import Path

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
    env = {**os.environ, 'PYTHONPATH':str(root), 'OMP_NUM_THREADS':'1'}
    log = tempfile.TemporaryFile('w+') # a pipe that nobody reads would be full one day, and the service wait
    p = subprocess.Popen([sys.executable, '-c', counting, str(folder), json.dumps(config)], stdout=subprocess.PIPE, stderr=log, text=True, env=env)
    try:
        said = p.stdout.readline()
        found = re.search(r'https?://\S+', said)
        if not found:
            log.seek(0)
            raise RuntimeError(f'the service did not start: {said}{log.read()[-2000:]}')
        yield found[0],p
    finally:
        p.terminate()
        p.communicate(timeout=30)
