/* The floor of a checkpassword program in C: it reads the request from
   descriptor 3, asks nobody, and executes Dovecot's reply helper. */
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char buf[513];
	size_t n = 0, nuls = 0, i = 0;

	while (nuls < 3 && n < sizeof(buf)) {
		ssize_t r = read(3, buf + n, sizeof(buf) - n);
		if (r <= 0)
			return 111;
		for (n += (size_t)r; i < n; i++)
			nuls += buf[i] == 0;
	}
	if (argc < 2 || nuls != 3)
		return 111;
	execv(argv[1], argv + 1);
	return 111;
}
