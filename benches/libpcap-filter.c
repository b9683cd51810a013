/* libpcap's own evaluation of a filter, bpf_filter(3PCAP), over packets held in memory: ns per packet and how many pass.
 * usage: libpcap-filter FILE PACKETS REPEATS FILTER */
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct packet { struct pcap_pkthdr header; unsigned char *bytes; };

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1e9 + now.tv_nsec;
}

int main(int argc, char **argv)
{
    char error[PCAP_ERRBUF_SIZE];
    struct bpf_program program;
    struct pcap_pkthdr *header;
    const unsigned char *bytes;
    size_t count = 0, passed = 0;
    if (argc != 5) {
        fprintf(stderr, "usage: libpcap-filter FILE PACKETS REPEATS FILTER\n");
        return 2;
    }
    size_t most = strtoul(argv[2], NULL, 10), repeats = strtoul(argv[3], NULL, 10);
    pcap_t *file = pcap_open_offline(argv[1], error);
    struct packet *packets = calloc(most, sizeof *packets);
    if (!file || !packets || pcap_compile(file, &program, argv[4], 1, PCAP_NETMASK_UNKNOWN) != 0) {
        fprintf(stderr, "libpcap-filter: %s\n", file ? pcap_geterr(file) : error);
        return 2;
    }
    while (count < most && pcap_next_ex(file, &header, &bytes) == 1) {
        packets[count].header = *header;
        packets[count].bytes = malloc(header->caplen);
        memcpy(packets[count++].bytes, bytes, header->caplen);
    }
    double begin = cpu_ns();
    for (size_t round = 0; round < repeats; round++)
        for (size_t at = 0; at < count; at++) {
            struct packet *one = &packets[at];
            passed += bpf_filter(program.bf_insns, one->bytes, one->header.len, one->header.caplen) != 0;
        }
    printf("%.3f %zu %zu\n", (cpu_ns() - begin) / (double)(count * repeats), count, passed / repeats);
    return 0;
}
