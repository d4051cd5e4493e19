// A store of transitions: observations as quantised latent codes, the rest as it is. A folder:
//
//   manifest.json                what is in it: model, bits, parts, bytes, errors
//   model-DIGEST.safetensors     the model, by the first 16 digits of its SHA-256
//   part-000000.npz              transitions, and a further file for each time that some were added; members are not
//                                compressed
//
// Files that the manifest does not name are none of the store's.
//
// The arrays of a part, of N transitions and R observations:
//   codes    uint8: observation r begins at bit r * (bits of an observation), see put_bits(); latent after latent
//   flags    uint8 [N]: 1 terminated, 2 truncated, 4 the last of its episode, and what the next observation is: 0 none
//            is known, 8 the one that follows, which is that of the next transition, too, 16 one of its own that
//            follows
//   actions, rewards   as they were, in the narrowest of uint8, int16, int32, float32, float64 that holds them exactly
//   pairs, originals   some transitions, drawn at random, and their true next observations, by which targets are
//                      corrected
//   checksums          uint32: of the arrays before it, see NpzWriter::sums(), by which all that is read is checked
//
// So the observation of a transition is number t + (transitions before t with flag 16), and its next one follows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "data/arrays/array_file.hpp"
#include "data/arrays/transitions.hpp"
#include "fit/error_model.hpp"
#include "replay/pairs.hpp"

namespace ae::replay {

struct PackOptions {
  std::vector<std::int64_t> bits{8};  // of each latent, or one for all
  std::int64_t pairs = 1000;          // that are kept for correction
  std::uint64_t seed = 0;
  bool append = false, overwrite = false;
  std::string made_by;
};

struct PackTotals {
  std::int64_t transitions = 0, observations = 0;  // that were added
  double ratio = 0;                                // of observations, see the manifest
  double rms_error = 0;
  std::int64_t clipped = 0;  // latents outside of the range of the first part
};

// Adds the transitions to a new store in `folder`, or with `append` to the one there, whose model and bits are kept.
// Reads them twice. UsageError for a store that is there and not to be changed, for a folder with other files in it,
// where another process is writing to it, where the transitions are the store's own, and as LatentCodec says. What is
// there is whole at any time: the manifest comes last, and then what it no longer names is removed, but no other file.
PackTotals pack(const std::filesystem::path& model, const data::Transitions& transitions,
                const std::filesystem::path& folder, const PackOptions& options, Reporter& reporter);

bool is_store(const std::filesystem::path& path);

// Its manifest and what that names. InputError where the manifest cannot be read.
std::vector<std::filesystem::path> files_of_store(const std::filesystem::path& folder);

class Store {
 public:
  // Checks the manifest, the model and all parts' sizes; InputError. What is read later is compared with checksums,
  // where it may be thrown, too.
  static std::shared_ptr<const Store> open(const std::filesystem::path& folder);
  ~Store();

  std::int64_t size() const;  // transitions
  // The store as a file of arrays: observations, next_observations (NaN where there is none), actions, rewards,
  // terminations, truncations; or only some transitions of it.
  std::shared_ptr<const data::ArrayFile> arrays(std::int64_t first, std::int64_t count) const;
  std::shared_ptr<const data::ArrayFile> arrays() const { return arrays(0, size()); }
  // The pairs that were kept, of all parts, or `most` of them, drawn at random.
  PairSample pairs(std::int64_t most, std::uint64_t seed) const;
  // Observations of the store, at most `most`, drawn at random, and what each may have been: less an error that is
  // drawn by `errors`, and less what rounding a code to the grid may have changed. No actions. InputError when the
  // errors are those of another model; `source` is their file.
  PairSample modelled_pairs(const fit::ErrorModel& errors, const std::string& source, std::int64_t most,
                            std::uint64_t seed) const;

 private:
  struct State;
  explicit Store(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
  friend class StoreArrays;
  friend class StoreStream;
};

}  // namespace ae::replay
