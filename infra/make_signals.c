/* Loaded by `make run`: SIGINT and SIGTERM are left to the recipe, which ends cleanly with exit code 0. GNU make would
 * wait for it and then die of the signal all the same. A handler, unlike SIG_IGN, is not inherited by the recipe. */
#include <signal.h>

int plugin_is_GPL_compatible;

static void leave_to_recipe(int number) { (void)number; }

int make_signals_gmk_setup(void) {
    struct sigaction action = {.sa_handler = leave_to_recipe, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, 0);
    sigaction(SIGTERM, &action, 0);
    return 1;
}
