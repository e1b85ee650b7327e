using ILGPU.IR.Intrinsics;
using Llama3Cluster.Kernels.Gpu.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

/// <content>Memory: wide loads, asynchronous copies, and shared memory at an alignment of our own.</content>
internal static partial class Ptx
{
    /// <summary>16 bytes that are read once, as weights are: they do not displace what the first-level cache holds.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%d0,%d1,%d2,%d3}, [%0];")]
    public static U4 Stream16(ulong address) => throw DeviceOnly();

    /// <summary>8 bytes that are read once.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("ld.global.nc.L1::no_allocate.L2::128B.v2.u32 {%d0,%d1}, [%0];")]
    public static U2 Stream8(ulong address) => throw DeviceOnly();

    /// <summary>4 bytes that are read once.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("ld.global.nc.L1::no_allocate.L2::128B.u32 %d, [%0];")]
    public static uint Stream4(ulong address) => throw DeviceOnly();

    /// <summary>16 bytes that no one writes while the kernel runs.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("ld.global.nc.v4.u32 {%d0,%d1,%d2,%d3}, [%0];")]
    public static U4 Load16(ulong address) => throw DeviceOnly();

    /// <summary>16 bytes, loaded no sooner than the barriers before.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("ld.global.v4.u32 {%d0,%d1,%d2,%d3}, [%0];")]
    public static U4 LoadInOrder16(ulong address) => throw DeviceOnly();

    /// <summary>16 bytes that no one writes while the kernel runs, or zeros where the condition is 0.</summary>
    [IntrinsicImplementation]
    [PtxTemplate(
        "{ .reg .pred p; setp.ne.u32 p, %1, 0; mov.b32 %d0, 0; mov.b32 %d1, 0; mov.b32 %d2, 0; mov.b32 %d3, 0; "
        + "@p ld.global.nc.v4.u32 {%d0,%d1,%d2,%d3}, [%0]; }")]
    public static U4 Load16If(ulong address, uint condition) => throw DeviceOnly();

    /// <summary>Four float32 values that no one writes while the kernel runs.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("ld.global.nc.v4.f32 {%d0,%d1,%d2,%d3}, [%0];")]
    public static Sums LoadFloats(ulong address) => throw DeviceOnly();

    /// <summary>8 bytes that no one writes while the kernel runs.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("ld.global.nc.v2.u32 {%d0,%d1}, [%0];")]
    public static U2 Load8(ulong address) => throw DeviceOnly();

    /// <summary>4 bytes that no one writes while the kernel runs.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("ld.global.nc.u32 %d, [%0];")]
    public static uint Load4(ulong address) => throw DeviceOnly();

    /// <summary>A float32 value that no one writes while the kernel runs.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("ld.global.nc.f32 %d, [%0];")]
    public static float LoadFloat(ulong address) => throw DeviceOnly();

    /// <summary>A float32 value that this kernel may write.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("ld.global.f32 %d, [%0];")]
    public static float LoadOwnFloat(ulong address) => throw DeviceOnly();

    /// <summary>Stores a float32 value.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("st.global.f32 [%0], %1;")]
    public static void Store(ulong address, float value) => throw DeviceOnly();

    /// <summary>Stores 16 bytes.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("st.global.v4.u32 [%0], {%1,%2,%3,%4};")]
    public static void Store16(ulong address, U4 value) => throw DeviceOnly();

    /// <summary>Stores four float32 values.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("st.global.v4.f32 [%0], {%1,%2,%3,%4};")]
    public static void StoreFloats(ulong address, Sums value) => throw DeviceOnly();

    /// <summary>
    /// Shared memory of the group, aligned to 128 bytes; the address of its first byte. One call in a kernel, of constant size, at most
    /// 48 KiB: more would have to be asked of the driver for every kernel.
    /// </summary>
    [IntrinsicImplementation]
    [PtxTemplate(".shared .align 128 .b8 groupMemory[#0];\n\tmov.u32 %d, groupMemory;")]
    public static uint SharedMemory(int bytes) => throw DeviceOnly();

    /// <summary>16 bytes of shared memory.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("ld.shared.v4.u32 {%d0,%d1,%d2,%d3}, [%0];")]
    public static U4 LoadShared16(uint address) => throw DeviceOnly();

    /// <summary>Stores 16 bytes in shared memory.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("st.shared.v4.u32 [%0], {%1,%2,%3,%4};")]
    public static void StoreShared16(uint address, U4 value) => throw DeviceOnly();

    /// <summary>Four float32 values of shared memory.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("ld.shared.v4.f32 {%d0,%d1,%d2,%d3}, [%0];")]
    public static Sums LoadSharedFloats(uint address) => throw DeviceOnly();

    /// <summary>Stores four float32 values in shared memory.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("st.shared.v4.f32 [%0], {%1,%2,%3,%4};")]
    public static void StoreShared(uint address, Sums value) => throw DeviceOnly();

    /// <summary>A float32 value of shared memory.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("ld.shared.f32 %d, [%0];")]
    public static float LoadSharedFloat(uint address) => throw DeviceOnly();

    /// <summary>Stores a float32 value in shared memory.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("st.shared.f32 [%0], %1;")]
    public static void StoreSharedFloat(uint address, float value) => throw DeviceOnly();

    /// <summary>Begins to copy 16 bytes from global to shared memory, past the registers and the first-level cache.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;")]
    public static void CopyAsync16(uint shared, ulong address) => throw DeviceOnly();

    /// <summary>As <see cref="CopyAsync16(uint, ulong)"/>, of the first <paramref name="bytes"/> (0 or 16); zeros take the place of the rest.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;")]
    public static void CopyAsync16(uint shared, ulong address, uint bytes) => throw DeviceOnly();

    /// <summary>Closes this thread's batch of copies.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("cp.async.commit_group;")]
    public static void CommitCopies() => throw DeviceOnly();

    /// <summary>Waits until at most so many of this thread's batches are under way, the latest ones.</summary>
    [IntrinsicImplementation]
    [PtxTemplate("cp.async.wait_group #0;")]
    public static void WaitForCopies(int batchesUnderWay) => throw DeviceOnly();

    private static NotSupportedException DeviceOnly() => new("this instruction exists on NVIDIA GPUs alone");
}
