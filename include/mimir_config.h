/* What this build of libmimir_runtime has. A build without attacks (`--no-default-features`) installs this file without the
 * line below. */
#ifndef MIMIR_CONFIG_H
#define MIMIR_CONFIG_H

/* mimir_certify() and what belongs to it. */
#define MIMIR_HAS_ATTACKS 1

#endif
