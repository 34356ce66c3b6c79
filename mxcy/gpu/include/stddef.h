// NVRTC defines size_t, ptrdiff_t and NULL itself.
#pragma once
