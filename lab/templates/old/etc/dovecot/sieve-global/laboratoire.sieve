require "include";
# Nobody has thought of installing this one on the new server.
include :global "listes";
include :global "stagiaires";
