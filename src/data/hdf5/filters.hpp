// Decompression that the HDF5 library lacks and that h5py or hdf5plugin write: LZF and Zstandard.
#pragma once

namespace ae::data::hdf5 {

// Makes them known to the library, which then reads such chunks; they are not written.
void register_filters();

}  // namespace ae::data::hdf5
