// Preloaded into a program (LD_PRELOAD), this holds it where main() would begin: its libraries are loaded and have
// registered what they register, which takes LibTorch half a second. From there it answers requests, each with a fork
// that goes on to the program's own main(), as if it had been started anew. For tests, which start programs thousands
// of times; tests/cli/started.py is the other side.
//
// A request is one packet on the socket whose number is in AETOOLS_TEST_SOCKET: the folder, the number of arguments,
// the arguments and the environment, each ended by a zero byte, and with it three descriptors for standard input,
// output and error. The answers are two packets: the process's number and, once it has ended, its status as of wait().
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

namespace {

using Main = int (*)(int, char**, char**);

Main program_main = nullptr;

struct Request {
  std::string text;
  std::array<int, 3> streams;
};

// False at the end of the socket.
bool receive(int socket, Request& request) {
  request.text.resize(1 << 20);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof request.streams)];
  iovec part{request.text.data(), request.text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size = 0;
  do {
    size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (size <= 0 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || !header ||
      header->cmsg_len != CMSG_LEN(sizeof request.streams))
    return false;
  request.text.resize(static_cast<std::size_t>(size));
  std::memcpy(request.streams.data(), CMSG_DATA(header), sizeof request.streams);
  return true;
}

// In the new process: takes on what the request says and runs the program.
int become(Request& request) {
  std::vector<char*> words;
  for (char *at = request.text.data(), *end = at + request.text.size(); at < end; at += std::strlen(at) + 1)
    words.push_back(at);
  const std::size_t arguments = std::strtoul(words.at(1), nullptr, 10);
  std::vector<char*> argv(words.begin() + 2, words.begin() + 2 + static_cast<std::ptrdiff_t>(arguments));
  std::vector<char*> environment(words.begin() + 2 + static_cast<std::ptrdiff_t>(arguments), words.end());
  argv.push_back(nullptr);
  clearenv();
  for (char* entry : environment) putenv(entry);
  for (int stream = 0; stream < 3; ++stream)
    if (dup2(request.streams[stream], stream) < 0) _exit(125);
  closefrom(3);
  if (chdir(words.at(0)) != 0) _exit(125);
  return program_main(static_cast<int>(arguments), argv.data(), environ);
}

int serve(int argc, char** argv, char** environment) {
  const char* number = getenv("AETOOLS_TEST_SOCKET");
  if (!number) return program_main(argc, argv, environment);
  const int socket = std::atoi(number);
  unsetenv("LD_PRELOAD");
  static Request request;
  while (receive(socket, request)) {
    const pid_t process = fork();
    if (process == 0) return become(request);
    for (const int stream : request.streams) close(stream);
    if (process < 0 || send(socket, &process, sizeof process, MSG_NOSIGNAL) < 0) break;
    int status = 0;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
    }
    if (send(socket, &status, sizeof status, MSG_NOSIGNAL) < 0) break;
  }
  _exit(0);
}

}  // namespace

extern "C" int __libc_start_main(Main main, int argc, char** argv, void (*init)(), void (*fini)(),
                                 void (*linker_fini)(), void* stack_end) {
  using Start = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);
  program_main = main;
  const auto start = reinterpret_cast<Start>(dlsym(RTLD_NEXT, "__libc_start_main"));
  return start(serve, argc, argv, init, fini, linker_fini, stack_end);
}
