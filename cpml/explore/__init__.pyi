from .cards import Bar as Bar, Card as Card, Section as Section, Table as Table
from .chapters import Chapters as Chapters
from .explorer import GrainExplorer as GrainExplorer
from .settings import Settings as Settings
from .situation import Situation as Situation
from .survey import Survey as Survey
