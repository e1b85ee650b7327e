// ILGPU's functions that take a number's bits for another type, under a name that the folder Interop does not hide.
global using Bits = ILGPU.Interop;
