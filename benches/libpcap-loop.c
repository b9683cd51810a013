/* libpcap's own loop over a file, counting: the floor of every program that reads through it. */
#include <pcap/pcap.h>
#include <stdio.h>

static unsigned long packets, wire_bytes;

static void count(unsigned char *user, const struct pcap_pkthdr *header, const unsigned char *frame)
{
    (void)user;
    (void)frame;
    packets++;
    wire_bytes += header->len;
}

int main(int argc, char **argv)
{
    char error[PCAP_ERRBUF_SIZE];
    pcap_t *file = argc == 2 ? pcap_open_offline(argv[1], error) : NULL;
    if (!file) {
        fprintf(stderr, "libpcap-loop: %s\n", argc == 2 ? error : "usage: libpcap-loop FILE");
        return 2;
    }
    int status = pcap_loop(file, -1, count, NULL);
    printf("packets=%lu flows=0\n", packets);
    pcap_close(file);
    return status != 0 || wire_bytes == 0;
}
