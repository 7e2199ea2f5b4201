/* A whole checkpassword door in C: it asks a unix socket over HTTP/1.0 and writes
   the fields of the answer to descriptor 4. It checks little; only its speed is
   of interest. usage: ask SOCKET */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char request[513], form[2048], head[256], answer[4096];

static char *escape(char *to, const char *s)
{
	for (; *s; s++)
		to += sprintf(to, "%%%02X", (unsigned char)*s);
	return to;
}

static int read_request(void)
{
	size_t n = 0, nuls = 0, i = 0;

	while (nuls < 3 && n < sizeof(request)) {
		ssize_t r = read(3, request + n, sizeof(request) - n);
		if (r <= 0)
			return -1;
		for (n += (size_t)r; i < n; i++)
			nuls += request[i] == 0;
	}
	return nuls == 3 ? 0 : -1;
}

static int ask(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char *p = form;
	size_t n = 0;
	ssize_t r;

	strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -1;
	p = escape(stpcpy(p, "user="), request);
	p = escape(stpcpy(p, "&password="), request + strlen(request) + 1);
	int h = sprintf(head, "POST /verify HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n"
		"Content-Length: %zu\r\n\r\n", (size_t)(p - form));
	if (write(fd, head, (size_t)h) < 0 || write(fd, form, (size_t)(p - form)) < 0)
		return -1;
	while (n < sizeof(answer) - 1 && (r = read(fd, answer + n, sizeof(answer) - 1 - n)) > 0)
		n += (size_t)r;
	return 0;
}

int main(int argc, char **argv)
{
	char *body;

	if (argc < 2 || read_request() < 0 || ask(argv[1]) < 0)
		return 111;
	body = strstr(answer, "\r\n\r\n");
	if (body == NULL)
		return 111;
	body += 4;
	if (strncmp(body, "granted\t", 8) != 0)
		return 1;
	body += 8;
	body[strcspn(body, "\n")] = 0;
	return write(4, body, strlen(body)) > 0 ? 0 : 111;
}
