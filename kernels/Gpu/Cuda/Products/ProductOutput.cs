using Llama3Cluster.Kernels.Gpu.Cuda.Intrinsics;

namespace Llama3Cluster.Kernels.Gpu.Cuda.Products;

/// <summary>The end of every product, the same in all kernels: scaled back, added to what the result is added to, stored.</summary>
internal static class ProductOutput
{
    /// <summary>Stores a lane's four sums of a 16x8 piece whose first output and first row are given.</summary>
    public static void Store(ProductParameters parameters, ProductTarget target, int firstOutput, int firstRow, int lane, Sums sums)
    {
        int output = firstOutput + (lane / 4), row = firstRow + (lane % 4 * 2);
        StoreRow(parameters, target, output, row, sums.X, sums.Z);
        StoreRow(parameters, target, output, row + 1, sums.Y, sums.W);
    }

    private static void StoreRow(ProductParameters parameters, ProductTarget target, int output, int row, float low, float high)
    {
        if (row >= parameters.Rows)
            return;
        float scale = Ptx.LoadFloat(parameters.RowScales + (uint)(row * sizeof(float)));
        ulong offset = (((ulong)(uint)row * (uint)target.Stride) + (uint)output) * sizeof(float);
        if (output < target.Outputs)
            StoreOne(target, offset, Ptx.Multiply(low, scale));
        if (output + 8 < target.Outputs)
            StoreOne(target, offset + (8 * sizeof(float)), Ptx.Multiply(high, scale));
    }

    private static void StoreOne(ProductTarget target, ulong offset, float value)
    {
        float result = value;
        if (target.Addend != 0)
            result = Ptx.Add(Ptx.LoadOwnFloat(target.Addend + offset), value);
        Ptx.Store(target.Output + offset, result);
    }
}
