#include "replay/unpack.hpp"

#include <algorithm>
#include <vector>

#include "base/signals.hpp"
#include "data/arrays/npz_writer.hpp"

namespace ae::replay {

void write_arrays(const data::ArrayFile& arrays, Output& output, Reporter& reporter) {
  constexpr std::int64_t kAtOnce = 1 << 18;
  data::NpzWriter writer(output);
  std::vector<double> piece;
  std::uint64_t done = 0, all = 0;
  for (const auto& array : arrays.arrays()) all += static_cast<std::uint64_t>(data::elements_of_shape(array.shape));
  for (const auto& array : arrays.arrays()) {
    writer.begin(array.name, array.type, array.shape);
    const auto stream = arrays.open(array);
    for (auto left = data::elements_of_shape(array.shape); left > 0; left -= std::ssize(piece)) {
      throw_if_stopped("unpacking");
      piece.resize(static_cast<std::size_t>(std::min(left, kAtOnce)));
      stream->read(piece);
      writer.add(piece);
      done += piece.size();
      reporter.progress("numbers", done, all);
    }
    stream->finish();
  }
  writer.finish();
  reporter.progress_done();
}

}  // namespace ae::replay
