#include "base/local_sum.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <random>

#include "base/error.hpp"

namespace ae {
namespace {

using Clock = std::chrono::steady_clock;

// So small that it is still in a core's cache when the others' parts have come.
constexpr std::size_t kPieceBytes = std::size_t{1} << 18;
constexpr std::size_t kHeadBytes = 4096;

std::size_t memory_size(int size) { return kHeadBytes + 2 * kPieceBytes * static_cast<std::size_t>(size + 1); }

template <typename T>
void add(const T* __restrict__ numbers, std::int64_t count, T* __restrict__ sums) {
  for (std::int64_t i = 0; i < count; ++i) sums[i] += numbers[i];
}

}  // namespace

struct LocalSum::Shared {
  std::uint64_t token;
  std::atomic<std::uint32_t> round;     // of meetings that are over
  std::atomic<std::uint32_t> arrived;   // at the next one
  std::atomic<std::uint32_t> sleeping;  // in wait for it
  std::atomic<std::uint32_t> given_up;
  std::atomic<std::uint32_t> found;  // by how many processes this was
  static_assert(std::atomic<std::uint32_t>::is_always_lock_free && sizeof(std::atomic<std::uint32_t>) == 4);
};

std::unique_ptr<LocalSum> LocalSum::make(int size, std::chrono::milliseconds timeout) {
  const int descriptor = ::memfd_create("aetools sums", MFD_CLOEXEC);
  if (descriptor < 0 || ::ftruncate(descriptor, static_cast<off_t>(memory_size(size))) != 0) {
    const std::string cause = std::strerror(errno);
    if (descriptor >= 0) ::close(descriptor);
    throw RunError("cannot make memory for the processes of this machine to share: " + cause);
  }
  std::random_device random;
  const std::uint64_t token = std::uint64_t{random()} << 32 | random();
  std::string address = std::to_string(::getpid()) + ' ' + std::to_string(descriptor) + ' ' + std::to_string(token);
  std::unique_ptr<LocalSum> sum(new LocalSum(descriptor, std::move(address), 0, size, timeout));
  sum->shared_->token = token;
  return sum;
}

std::unique_ptr<LocalSum> LocalSum::find(const std::string& address, int rank, int size,
                                         std::chrono::milliseconds timeout) {
  std::uint64_t parts[3] = {};  // process, descriptor, token
  const char* at = address.data();
  const char* end = at + address.size();
  for (auto& part : parts) {
    const auto [stopped, error] = std::from_chars(at, end, part);
    if (error != std::errc()) return nullptr;
    at = std::min(stopped + 1, end);
  }
  const std::string path = "/proc/" + std::to_string(parts[0]) + "/fd/" + std::to_string(parts[1]);
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0) return nullptr;
  // On another machine this may be anything.
  struct stat status {};
  std::uint64_t token = 0;
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_size != static_cast<off_t>(memory_size(size)) ||
      ::pread(descriptor, &token, sizeof token, offsetof(Shared, token)) != sizeof token || token != parts[2]) {
    ::close(descriptor);
    return nullptr;
  }
  return std::unique_ptr<LocalSum>(new LocalSum(descriptor, address, rank, size, timeout));
}

LocalSum::LocalSum(int descriptor, std::string address, int rank, int size, std::chrono::milliseconds timeout)
    : descriptor_(descriptor),
      address_(std::move(address)),
      rank_(rank),
      size_(size),
      timeout_(timeout),
      bytes_(memory_size(size)) {
  static_assert(sizeof(Shared) <= kHeadBytes);
  // Held as long as this process lives: by it the others know.
  struct flock own {};
  own.l_type = F_WRLCK;
  own.l_whence = SEEK_SET;
  own.l_start = rank;
  own.l_len = 1;
  void* memory = MAP_FAILED;
  if (::fcntl(descriptor, F_OFD_SETLK, &own) == 0) {
    memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  }
  if (memory == MAP_FAILED) {
    const std::string cause = std::strerror(errno);
    ::close(descriptor);
    throw RunError("cannot use the memory that the processes of this machine share: " + cause);
  }
  memory_ = static_cast<std::byte*>(memory);
  shared_ = reinterpret_cast<Shared*>(memory_);  // zeros, which is where its atomics begin
  ++shared_->found;
}

LocalSum::~LocalSum() {
  ::munmap(memory_, bytes_);
  ::close(descriptor_);
}

// Each rank has two pieces, taken in turn, and the sums have two more.
std::byte* LocalSum::piece(int slot, std::uint64_t turn) const {
  return memory_ + kHeadBytes + kPieceBytes * (2 * static_cast<std::size_t>(slot) + turn % 2);
}

// Piece by piece: everyone puts its numbers, then adds up its share of the piece for all. Pieces overlap, so that one
// meeting is enough for each: what is put before it, is not what was read since the last.
template <typename T>
void LocalSum::add_up(std::span<T> numbers) {
  constexpr std::size_t kPiece = kPieceBytes / sizeof(T);
  const auto of_piece = [&](std::size_t p) {
    return numbers.subspan(p * kPiece, std::min(kPiece, numbers.size() - p * kPiece));
  };
  const std::size_t pieces = (numbers.size() + kPiece - 1) / kPiece;
  for (std::size_t p = 0; p <= pieces; ++p) {
    if (p < pieces) std::memcpy(piece(rank_, turn_ + p), of_piece(p).data(), of_piece(p).size_bytes());
    meet();
    if (p > 0) std::memcpy(of_piece(p - 1).data(), piece(size_, turn_ + p - 1), of_piece(p - 1).size_bytes());
    if (p == pieces) break;
    const auto count = static_cast<std::int64_t>(of_piece(p).size());
    const std::int64_t begin = count * rank_ / size_, end = count * (rank_ + 1) / size_;
    T* sums = reinterpret_cast<T*>(piece(size_, turn_ + p)) + begin;
    std::memcpy(sums, reinterpret_cast<const T*>(piece(0, turn_ + p)) + begin,
                static_cast<std::size_t>(end - begin) * sizeof(T));
    for (int rank = 1; rank < size_; ++rank) {
      add(reinterpret_cast<const T*>(piece(rank, turn_ + p)) + begin, end - begin, sums);
    }
  }
  turn_ += pieces;
}
template void LocalSum::add_up(std::span<float>);
template void LocalSum::add_up(std::span<double>);

// A process that waits looks for a while, as the others mostly come within microseconds, then sleeps.
void LocalSum::meet() {
  constexpr auto kLook = std::chrono::microseconds(100);
  constexpr timespec kNap{0, 50'000'000};
  Shared& s = *shared_;
  const std::uint32_t round = s.round;
  if (s.arrived.fetch_add(1) + 1 == static_cast<std::uint32_t>(size_)) {
    s.arrived = 0;
    s.round = round + 1;
    if (s.sleeping > 0) ::syscall(SYS_futex, &s.round, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
    return;
  }
  const auto begun = Clock::now();
  while (s.round == round && Clock::now() - begun < kLook) {
    for (int look = 0; look < 64 && s.round.load(std::memory_order_acquire) == round; ++look) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
  }
  while (s.round == round) {
    ++s.sleeping;
    const auto slept = ::syscall(SYS_futex, &s.round, FUTEX_WAIT, round, &kNap, nullptr, 0);
    const bool in_vain = slept != 0 && errno == ETIMEDOUT;
    --s.sleeping;
    if (s.round != round) break;
    if (s.given_up > 0) throw RunError("another process has given up");
    if (const int rank = in_vain ? absent() : -1; rank >= 0 && s.round == round) {
      throw RunError("the process of rank " + std::to_string(rank) + " has ended");
    }
    if (Clock::now() - begun > timeout_) throw RunError("timed out waiting for the other processes of this machine");
  }
}

// The first rank whose process has ended, or -1; those that have not come yet are waited for.
int LocalSum::absent() const {
  if (shared_->found < static_cast<std::uint32_t>(size_)) return -1;
  for (int rank = 0; rank < size_; ++rank) {
    if (rank == rank_) continue;
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = rank;
    lock.l_len = 1;
    if (::fcntl(descriptor_, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK) return rank;
  }
  return -1;
}

void LocalSum::give_up() {
  ++shared_->given_up;
  ::syscall(SYS_futex, &shared_->round, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace ae
