resource "azurerm_resource_group" "this" {
  name     = var.resource_group_name
  location = var.location
  tags     = var.tags
}

resource "azurerm_container_registry" "this" {
  name                = var.acr_name
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  sku                 = "Standard"
  admin_enabled       = false
  tags                = var.tags
}

# Two identities, made before the cluster: the control plane's, and the kubelets', with which nodes pull. Given the right
# to pull before there is a node, no first pull can come too early and be answered 401.
resource "azurerm_user_assigned_identity" "cluster" {
  name                = "${var.aks_name}-cluster"
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  tags                = var.tags
}

resource "azurerm_user_assigned_identity" "kubelet" {
  name                = "${var.aks_name}-kubelet"
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  tags                = var.tags
}

resource "azurerm_role_assignment" "kubelet_pulls" {
  scope                            = azurerm_container_registry.this.id
  role_definition_name             = "AcrPull"
  principal_id                     = azurerm_user_assigned_identity.kubelet.principal_id
  skip_service_principal_aad_check = true # the identity is seconds old, and Entra may not list it yet
}

# AKS puts the kubelets' identity on the nodes as the control plane, which needs this role for it.
resource "azurerm_role_assignment" "cluster_assigns_kubelet" {
  scope                            = azurerm_user_assigned_identity.kubelet.id
  role_definition_name             = "Managed Identity Operator"
  principal_id                     = azurerm_user_assigned_identity.cluster.principal_id
  skip_service_principal_aad_check = true
}

resource "azurerm_kubernetes_cluster" "this" {
  name                      = var.aks_name
  resource_group_name       = azurerm_resource_group.this.name
  location                  = azurerm_resource_group.this.location
  dns_prefix                = trim(substr(replace(var.aks_name, "_", "-"), 0, 54), "-")
  kubernetes_version        = var.kubernetes_version
  oidc_issuer_enabled       = true
  workload_identity_enabled = true
  tags                      = var.tags

  default_node_pool {
    name                        = "system"
    node_count                  = var.node_count
    vm_size                     = var.node_vm_size
    os_sku                      = "AzureLinux"
    temporary_name_for_rotation = "systemtmp" # lets node_vm_size change without a new cluster
    tags                        = var.tags

    upgrade_settings {
      max_surge = "1"
    }
  }

  # A kubelet identity of one's own is only accepted beside a user-assigned one of the control plane: README.md says more.
  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.cluster.id]
  }

  kubelet_identity {
    client_id                 = azurerm_user_assigned_identity.kubelet.client_id
    object_id                 = azurerm_user_assigned_identity.kubelet.principal_id
    user_assigned_identity_id = azurerm_user_assigned_identity.kubelet.id
  }

  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    network_policy      = "cilium"
    network_data_plane  = "cilium"
  }

  # No node auto-provisioning: the pools are those written here. azurerm 5 wants it said.
  node_provisioning_profile {
    mode = "Manual"
  }

  depends_on = [
    azurerm_role_assignment.kubelet_pulls,
    azurerm_role_assignment.cluster_assigns_kubelet,
  ]
}

resource "azurerm_kubernetes_cluster_node_pool" "this" {
  for_each = var.node_pools

  name                        = each.key
  kubernetes_cluster_id       = azurerm_kubernetes_cluster.this.id
  mode                        = "User"
  node_count                  = each.value.node_count
  vm_size                     = each.value.vm_size
  os_sku                      = each.value.os_sku
  zones                       = each.value.zones
  node_labels                 = each.value.labels
  node_taints                 = each.value.taints
  temporary_name_for_rotation = "${substr(each.key, 0, 9)}tmp"
  tags                        = var.tags

  upgrade_settings {
    max_surge = "1"
  }
}
