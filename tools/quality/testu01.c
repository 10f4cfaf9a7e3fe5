/* testu01 small|crush [reversed] [TEST...] < bits: a battery of TestU01 on 32-bit words from a pipe.

   `reversed` turns each word's bits round: the batteries look mostly at the upper ones. Numbers
   name the tests to run; without one, all are. Prints a line for each statistic: p-value, tab,
   name. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bbattery.h>
#include <swrite.h>
#include <unif01.h>

static unsigned int buffer[1 << 18];
static size_t next = 0, count = 0;
static int reversed = 0;
/* As many tests as TestU01 has room for in a battery. */
enum { TESTS = 200 };

static unsigned int word(void) {
    if (next == count) {
        count = fread(buffer, sizeof *buffer, sizeof buffer / sizeof *buffer, stdin);
        next = 0;
        if (count == 0) {
            fputs("testu01: the words ended before the battery did\n", stderr);
            exit(3);
        }
    }
    unsigned int w = buffer[next++];
    if (reversed) {
        w = __builtin_bswap32(w);
        w = (w >> 4 & 0x0F0F0F0F) | (w & 0x0F0F0F0F) << 4;
        w = (w >> 2 & 0x33333333) | (w & 0x33333333) << 2;
        w = (w >> 1 & 0x55555555) | (w & 0x55555555) << 1;
    }
    return w;
}

/* Run one test; print its statistics at once, for a battery takes long. */
static void run(unif01_Gen *generator, int small, int test) {
    int repeat[1 + TESTS] = {0};
    repeat[test] = 1;
    if (small) bbattery_RepeatSmallCrush(generator, repeat);
    else bbattery_RepeatCrush(generator, repeat);
    for (int i = 0; i < bbattery_NTests; i++)
        printf("%.17g\t%s\n", bbattery_pVal[i], bbattery_TestNames[i]);
    fflush(stdout);
}

int main(int argc, char **argv) {
    int small = argc > 1 && strcmp(argv[1], "small") == 0;
    if (argc < 2 || (!small && strcmp(argv[1], "crush") != 0)) {
        fputs("usage: testu01 small|crush [reversed] [TEST...] < bits\n", stderr);
        return 2;
    }
    reversed = argc > 2 && strcmp(argv[2], "reversed") == 0;
    swrite_Basic = FALSE;
    unif01_Gen *generator = unif01_CreateExternGenBits("words", word);
    int first = 2 + reversed, last = small ? 10 : 96;
    for (int i = first; i < argc; i++) {
        int test = atoi(argv[i]);
        if (test > 0 && test <= last) run(generator, small, test);
    }
    for (int test = 1; first == argc && test <= last; test++) run(generator, small, test);
    unif01_DeleteExternGenBits(generator);
    return 0;
}
