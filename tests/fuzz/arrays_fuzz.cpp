// Files of arrays from any bytes as transitions: the same in blocks of any size, and no next observation from another
// episode.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../unit/support/byte_sources.hpp"
#include "base/error.hpp"
#include "data/arrays/transitions.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

struct Told {
  std::vector<double> next, rewards;
  std::vector<std::uint8_t> last, has_next;
};

// Not equal only where bits differ: there may be NaNs.
template <typename T>
void require_same(const std::vector<T>& one, const std::vector<T>& other) {
  require(one.size() == other.size());
  require(one.empty() || std::memcmp(one.data(), other.data(), one.size() * sizeof(T)) == 0);
}

// Of one folder, without next observations of its own, in an array or in rows behind the last steps.
bool takes_next_rows(const ae::data::Transitions& transitions) {
  const auto& observations = *transitions.find(ae::data::TransitionRole::observations);
  return !transitions.stores_next() && observations.name.find('/') == std::string::npos &&
         ae::data::elements_of_shape(observations.shape) == transitions.size() * transitions.width();
}

Told read(const ae::data::Transitions& transitions, std::int64_t at_once) {
  const bool taken = takes_next_rows(transitions);
  constexpr std::int64_t kMost = 1000;
  Told told;
  ae::data::TransitionBlock block;
  const auto reader = transitions.read();
  for (std::int64_t done = 0; done < kMost && reader->next(std::min(at_once, kMost - done), block);
       done += block.count) {
    require(block.count > 0 && std::ssize(block.next) == block.count * transitions.width());
    told.next.insert(told.next.end(), block.next.begin(), block.next.end());
    told.rewards.insert(told.rewards.end(), block.rewards.begin(), block.rewards.end());
    told.last.insert(told.last.end(), block.last.begin(), block.last.end());
    told.has_next.insert(told.has_next.end(), block.has_next.begin(), block.has_next.end());
    for (std::size_t i = 0; taken && i < block.last.size(); ++i) require(!block.last[i] || !block.has_next[i]);
  }
  return told;
}

void check(const std::string& bytes) {
  const ae::data::Transitions transitions(ae::data::open_numpy_arrays(std::make_shared<ae::test::MemoryAccess>(bytes)),
                                          {});
  if (transitions.width() > 4096) return;
  const auto one = read(transitions, 3), other = read(transitions, 64);
  require_same(one.next, other.next);
  require_same(one.rewards, other.rewards);
  require_same(one.last, other.last);
  require_same(one.has_next, other.has_next);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    check(std::string(reinterpret_cast<const char*>(data), size));
  } catch (const ae::Error& error) {
    require(error.lines().size() == 1 && !error.lines().front().empty());
  }
  return 0;
}
